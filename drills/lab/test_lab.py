"""The lab as a whole: accounts, faults, regions, validation, log and dump."""

import json
import time
import urllib.error
import urllib.request

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, HTTPClientError, ReadTimeoutError

from .regions import Regions
from .testing import PRIMARY, RECOVERY, Estate, LabTest, http, server

GONE = (ConnectionClosedError, EndpointConnectionError, HTTPClientError)


def restore(rds, name="orders-dr", source="orders-2026-a10"):
    return rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=source)


class AccountsTest(LabTest):
    def test_the_key_names_the_account(self):
        estate = Estate()
        found = estate.client("sts").get_caller_identity()
        self.assertEqual((found["Account"], found["Arn"]), (estate.name, f"arn:aws:iam::{estate.name}:user/lab"))

    def test_an_assumed_role_is_in_its_own_account(self):
        import boto3

        one = Estate()
        two = Estate(roles=[{"name": "dr", "trusts": [one.name]}])
        role = f"arn:aws:iam::{two.name}:role/dr"
        given = one.client("sts").assume_role(RoleArn=role, RoleSessionName="drill-session")["Credentials"]
        sts = boto3.client(
            "sts", region_name=RECOVERY, endpoint_url=one.server["endpoint"], aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given["SessionToken"],
        )  # fmt: skip
        self.assertEqual(sts.get_caller_identity()["Account"], two.name)

    def test_unsigned_requests_are_refused(self):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(server()["endpoint"] + "/", timeout=5)
        self.assertEqual(caught.exception.code, 403)

    def test_two_accounts_do_not_see_each_other(self):
        one, two = Estate(), Estate()
        restore(one.client("rds"))
        self.refused("DBInstanceNotFound", two.client("rds").describe_db_instances, 404, DBInstanceIdentifier="orders-dr")
        one.fault({"every": True, "do": "throttle"})
        two.client("rds").describe_db_instances()
        self.refused("Throttling", one.client("rds").describe_db_instances, 400)
        self.assertEqual({c["account"] for c in two.calls()}, {two.name})

    def test_reset_forgets_and_seed_plants_again(self):
        estate = Estate()
        planted = estate.dump(mask=True)
        restore(estate.client("rds"))
        self.assertNotEqual(estate.dump(mask=True), planted)
        estate.admin("/reset", {"account": estate.name})
        self.assertEqual(estate.client("rds").describe_db_snapshots()["DBSnapshots"], [])
        estate.admin("/seed", {"account": estate.name})
        self.assertEqual(estate.dump(mask=True), planted)


class FaultsTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.rds = self.estate.client("rds", read_timeout=1)

    def rule(self, do, **more):
        self.estate.fault({"service": "rds", "operation": "RestoreDBInstanceFromDBSnapshot", "nth": 1, "do": do, **more})

    def last(self):
        return self.estate.calls()[-1]

    def there(self):
        return "orders-dr" in self.estate.dump()

    def test_before_has_no_effect(self):
        for do, code in (("fail_before", "InternalFailure"), ("throttle", "Throttling"),
                         ("expired_token", "ExpiredToken"), ("access_denied", "AccessDenied")):  # fmt: skip
            with self.subTest(do):
                self.rule(do)
                self.refused(code, restore, rds=self.rds)
                self.assertFalse(self.there())
                self.assertEqual((self.last()["fault"], self.last()["effect"]), (do, "none"))

    def test_after_the_effect_has_happened(self):
        for do, problem in (("drop_after", GONE), ("hang_after", ReadTimeoutError), ("garbage", Exception)):
            with self.subTest(do):
                estate = self.estate = Estate()
                self.rds = estate.client("rds", read_timeout=1)
                self.rule(do)
                with self.assertRaises(problem):
                    restore(self.rds)
                self.assertTrue(self.there())
                self.assertEqual((self.last()["fault"], self.last()["effect"]), (do, "changed"))
        self.estate = Estate()
        self.rule("fail_after", code="ServiceUnavailable", status=503)
        self.refused("ServiceUnavailable", restore, 503, rds=self.estate.client("rds"))
        self.assertTrue(self.there())

    def test_silence_and_drops_before(self):
        for do, problem in (("drop_before", GONE), ("hang_before", ReadTimeoutError)):
            with self.subTest(do):
                self.rule(do)
                with self.assertRaises(problem):
                    restore(self.rds)
                self.assertFalse(self.there())
                self.assertIsNone(self.last()["status"])

    def test_counting(self):
        self.estate.fault({"write_nth": 2, "do": "fail_before"})
        restore(self.rds, "one")
        self.rds.describe_db_instances()
        self.refused("InternalFailure", restore, rds=self.rds, name="two")
        restore(self.rds, "two")
        self.estate.fault({"operation": "DescribeDBInstances", "nth": 2, "times": 2, "do": "throttle"})
        self.rds.describe_db_instances()
        for _ in range(2):
            self.refused("Throttling", self.rds.describe_db_instances)
        self.rds.describe_db_instances()

    def test_a_script_that_means_nothing_is_refused(self):
        status, text = http(f"{server()['admin']}/fault", {"rules": [{"do": "explode", "every": True}]})
        self.assertEqual(status, 400)
        self.assertIn("explode", text)


class RegionsTest(LabTest):
    def test_a_region_that_is_none_cannot_be_lost(self):
        for name in ("mars", "eu-west", "EU-WEST-1", "eu-west-1 "):
            with self.assertRaisesRegex(ValueError, "is no region"):
                Regions().set({"region": name, "state": "down"})
        for name in ("eu-west-1", "us-gov-east-1", "ap-southeast-4", "global"):
            Regions().set({"region": name, "state": "down"})

    def test_a_region_that_is_down_does_not_answer(self):
        estate = Estate()
        home, away = estate.client("rds", PRIMARY, read_timeout=1), estate.client("rds", RECOVERY)
        estate.region(PRIMARY, "down")
        self.assertRaises(GONE, home.describe_db_instances)
        away.describe_db_instances()
        estate.region(PRIMARY, "down", mode="hang")
        self.assertRaises(ReadTimeoutError, home.describe_db_instances)
        self.assertTrue(estate.calls()[-1]["fault"].startswith("region-down"))
        estate.region(PRIMARY, "up")
        home.describe_db_instances()

    def test_the_globals_have_a_switch_of_their_own(self):
        estate = Estate()
        dns, east = estate.client("route53", "us-east-1"), estate.client("rds", "us-east-1")
        estate.region("us-east-1", "down")
        dns.list_hosted_zones()
        self.assertRaises(GONE, east.describe_db_instances)
        estate.region("us-east-1", "down", **{"global": True})
        self.assertRaises(GONE, dns.list_hosted_zones)
        self.assertRaises(GONE, estate.client("cloudfront", "us-east-1").list_distributions)
        estate.region("us-east-1", "up", **{"global": True})
        estate.region("global", "down")
        east.describe_db_instances()
        self.assertRaises(GONE, dns.list_hosted_zones)
        self.assertTrue(estate.dig(f"api.{estate.params['domain']}").rr)


class TimeTest(LabTest):
    def test_seconds_in_place_of_looks(self):
        estate = Estate(seconds=0.3)
        rds = estate.client("rds")
        restore(rds)
        seen = [rds.describe_db_instances(DBInstanceIdentifier="orders-dr")["DBInstances"][0]["DBInstanceStatus"]]
        while seen[-1] != "available":
            time.sleep(0.05)
            seen.append(rds.describe_db_instances(DBInstanceIdentifier="orders-dr")["DBInstances"][0]["DBInstanceStatus"])
        self.assertEqual(seen[0], "creating")

    def test_more_looks_see_more_words(self):
        estate = Estate(looks=4)
        rds = estate.client("rds")
        restore(rds)
        seen = [rds.describe_db_instances(DBInstanceIdentifier="orders-dr")["DBInstances"][0]["DBInstanceStatus"] for _ in range(5)]
        self.assertEqual(seen, ["creating", "creating", "backing-up", "modifying", "available"])
        self.assertEqual(restore(Estate(looks=0).client("rds"))["DBInstance"]["DBInstanceStatus"], "available")


class LogTest(LabTest):
    def test_every_call_is_a_line(self):
        estate = Estate()
        rds = estate.client("rds")
        restore(rds)
        self.refused("DBInstanceAlreadyExists", restore, rds=rds)
        rds.describe_db_instances()
        lines = estate.calls()
        self.assertEqual([line["operation"] for line in lines][-1], "DescribeDBInstances")
        self.assertEqual([(line["rw"], line["effect"]) for line in lines], [("write", "changed"), ("write", "none"), ("read", "none")])
        self.assertEqual(lines[0]["request"]["DBInstanceIdentifier"], "orders-dr")
        self.assertEqual(lines[1]["error"], "DBInstanceAlreadyExists")
        self.assertEqual(estate.calls(lines[1]["n"])[0]["n"], lines[2]["n"])
        with open(f"{server()['folder']}/calls.jsonl", encoding="utf-8") as file:
            self.assertIn(lines[0]["n"], [json.loads(line)["n"] for line in file])

    def test_status_says_where_everything_is(self):
        status, text = http(f"{server()['admin']}/status")
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(text)["endpoint"], server()["endpoint"])
        self.assertEqual(http(f"{server()['admin']}/nothing")[0], 404)


class ValidationTest(LabTest):
    def violation(self, estate):
        return estate.calls()[-1]["fault"]

    def test_the_model_is_enforced_before_anything_happens(self):
        estate = Estate()
        rds = estate.client("rds", validate=False)
        self.refused("ValidationError", rds.restore_db_instance_from_db_snapshot, 400, DBSnapshotIdentifier="x")
        self.assertIn("model-violation", self.violation(estate))
        self.assertIn("dBInstanceIdentifier", self.violation(estate))
        r53 = estate.client("route53", "us-east-1", validate=False)
        bad = {"Changes": [{"Action": "REPLACE", "ResourceRecordSet": {"Name": "x", "Type": "A"}}]}
        self.refused("InvalidInput", r53.change_resource_record_sets, 400, HostedZoneId=estate.params["zone_id"], ChangeBatch=bad)
        self.assertIn("enum value set", self.violation(estate))
