"""Route 53 and DNS: batches, changes, and what the name server says when."""

from dnslib import QTYPE, RCODE

from .testing import Estate, LabTest


class Route53Test(LabTest):
    @classmethod
    def setUpClass(cls):
        cls.estate = Estate()
        cls.r53 = cls.estate.client("route53", "us-east-1")
        cls.zone = cls.estate.params["zone_id"]
        cls.domain = cls.estate.params["domain"]

    def record(self, label, value="192.0.2.1", kind="A", ttl=60, **more):
        name = f"{label}.{self.domain}" if label else self.domain
        found = {"Name": name, "Type": kind, **more}
        if "AliasTarget" not in more:
            found |= {"TTL": ttl, "ResourceRecords": [{"Value": value}]}
        return found

    def change(self, *pairs):
        batch = {"Changes": [{"Action": a, "ResourceRecordSet": r} for a, r in pairs]}
        return self.r53.change_resource_record_sets(HostedZoneId=self.zone, ChangeBatch=batch)["ChangeInfo"]

    def names(self):
        found = self.r53.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]
        return {(r["Name"], r["Type"], r.get("SetIdentifier")): r for r in found}

    def answers(self, label, kind="A", **more):
        return [str(rr.rdata) for rr in self.estate.dig(f"{label}.{self.domain}", kind, **more).rr]

    def insync(self, change):
        return [self.r53.get_change(Id=change["Id"])["ChangeInfo"]["Status"] for _ in range(3)]

    def test_dns_follows_a_change_only_when_it_is_in_sync(self):
        before = self.answers("app", "CNAME")
        old = self.record("app", self.estate.params["primary_target"], "CNAME")
        new = self.record("app", self.estate.params["recovery_target"], "CNAME")
        change = self.change(("DELETE", old), ("CREATE", new))
        self.assertEqual(change["Status"], "PENDING")
        self.assertEqual(self.answers("app", "CNAME"), before)
        self.assertEqual(self.insync(change), ["PENDING", "PENDING", "INSYNC"])
        self.assertEqual(self.answers("app", "CNAME"), [new["ResourceRecords"][0]["Value"] + "."])
        self.refused("NoSuchChange", self.r53.get_change, 404, Id="C0123456789ABC")

    def test_a_batch_is_all_or_nothing(self):
        self.change(("CREATE", self.record("there")))
        before = self.names()
        fresh = self.record("fresh")
        for pairs, words in (
            ([("CREATE", self.record("there"))], "already exists"),
            ([("DELETE", self.record("there", ttl=61))], "do not match"),
            ([("DELETE", self.record("there", "192.0.2.9"))], "do not match"),
            ([("DELETE", self.record("absent"))], "was not found"),
            ([("UPSERT", self.record("", "x.example.", "CNAME"))], "apex"),
            ([("UPSERT", self.record("there", "x.example.", "CNAME"))], "conflicts"),
            ([("UPSERT", self.record("a")), ("UPSERT", self.record("a"))], "invalid set of changes"),
            ([("UPSERT", self.record("a", "not-an-address"))], "IllegalIPv4"),
            ([("UPSERT", {**self.record("a"), "Name": "www.other.org"})], "not permitted in zone"),
        ):
            with self.subTest(words):
                with self.assertRaises(self.r53.exceptions.InvalidChangeBatch) as caught:
                    self.change(("CREATE", fresh), *pairs)
                self.assertIn(words, str(caught.exception))
                self.assertEqual(self.names(), before)

    def test_each_change_has_an_id_of_its_own(self):
        one, two = (self.change(("UPSERT", self.record("same"))) for _ in range(2))
        self.assertNotEqual(one["Id"], two["Id"])

    def test_listing_pages_and_escapes(self):
        self.assertIn((f"\\052.dev.{self.domain}.", "A", None), self.names())
        found, start = [], {}
        while True:
            page = self.r53.list_resource_record_sets(HostedZoneId=self.zone, MaxItems="2", **start)
            found += [(r["Name"], r["Type"], r.get("SetIdentifier")) for r in page["ResourceRecordSets"]]
            if not page["IsTruncated"]:
                break
            start = {"StartRecordName": page["NextRecordName"], "StartRecordType": page["NextRecordType"]}
            if page.get("NextRecordIdentifier"):
                start["StartRecordIdentifier"] = page["NextRecordIdentifier"]
        self.assertEqual(found, list(self.names()))

    def test_the_name_server_is_authoritative(self):
        answer = self.estate.dig(f"api.{self.domain}")
        self.assertEqual((answer.header.aa, answer.header.ra), (1, 0))
        self.assertEqual([str(r.rdata) for r in answer.rr], ["192.0.2.10"])
        self.assertEqual(self.answers("pay"), ["192.0.2.20"])
        self.assertEqual(self.answers("anything.dev"), ["192.0.2.99"])
        self.assertEqual(self.answers("edge"), ["127.0.0.1"])
        self.assertEqual(self.answers("orders"), ["127.0.0.1"])
        self.assertEqual(self.answers("orders", tcp=True), ["127.0.0.1"])
        self.assertEqual([str(r.rdata) for r in self.estate.dig("ns-1.lab.test").rr], ["127.0.0.1"])
        absent = self.estate.dig(f"absent.{self.domain}")
        self.assertEqual(absent.header.rcode, RCODE.NXDOMAIN)
        self.assertEqual(QTYPE[absent.auth[0].rtype], "SOA")
        empty = self.estate.dig(f"api.{self.domain}", "AAAA")
        self.assertEqual((empty.header.rcode, len(empty.rr), len(empty.auth)), (RCODE.NOERROR, 0, 1))
        self.assertEqual(self.estate.dig("example.org").header.rcode, RCODE.REFUSED)

    def test_zones_come_and_go(self):
        made = self.r53.create_hosted_zone(Name="other.test", CallerReference="once")
        self.refused("HostedZoneAlreadyExists", self.r53.create_hosted_zone, 409, Name="other.test", CallerReference="once")
        zone = made["HostedZone"]["Id"]
        self.assertEqual(len(self.r53.get_hosted_zone(Id=zone)["DelegationSet"]["NameServers"]), 4)
        self.assertEqual(len(self.r53.list_hosted_zones()["HostedZones"]), 2)
        self.r53.delete_hosted_zone(Id=zone)
        self.refused("NoSuchHostedZone", self.r53.get_hosted_zone, 404, Id=zone)
        self.refused("HostedZoneNotEmpty", self.r53.delete_hosted_zone, 400, Id=self.zone)
