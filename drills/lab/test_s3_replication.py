"""S3 replication: rules, and what they bring over."""

from .testing import PRIMARY, RECOVERY, Estate, LabTest


class ReplicationTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.home = self.estate.client("s3", PRIMARY)
        self.away = self.estate.client("s3", RECOVERY)
        self.source, self.target = self.estate.params["bucket_media"], self.estate.params["bucket_media_replica"]

    def status(self, key, there=None, bucket=None):
        return (there or self.home).head_object(Bucket=bucket or self.source, Key=key).get("ReplicationStatus")

    def rule(self, **more):
        return {
            "ID": "one", "Priority": 1, "Status": "Enabled", "Filter": {"Prefix": ""},
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{self.target}"}, **more,
        }  # fmt: skip

    def put(self, *rules, bucket=None):
        config = {"Role": "arn:aws:iam::123456789012:role/r", "Rules": list(rules)}
        self.home.put_bucket_replication(Bucket=bucket or self.source, ReplicationConfiguration=config)

    def test_the_seed_replicates(self):
        (rule,) = self.home.get_bucket_replication(Bucket=self.source)["ReplicationConfiguration"]["Rules"]
        self.assertEqual((rule["ID"], rule["Destination"]["Metrics"]["Status"]), ("all", "Enabled"))
        self.assertEqual(self.status("film/one.mp4"), "COMPLETED")
        self.assertEqual(self.status("film/one.mp4", self.away, self.target), "REPLICA")

    def test_what_is_written_is_brought_over_in_its_own_time(self):
        version = self.home.put_object(Bucket=self.source, Key="new", Body=b"new", Metadata={"a": "b"})["VersionId"]
        self.assertEqual([self.status("new") for _ in range(3)], ["PENDING", "PENDING", "COMPLETED"])
        replica = self.away.head_object(Bucket=self.target, Key="new")
        self.assertEqual((replica["ReplicationStatus"], replica["VersionId"]), ("REPLICA", version))
        self.assertEqual(replica["Metadata"], {"a": "b"})
        self.assertEqual(replica["LastModified"], self.home.head_object(Bucket=self.source, Key="new")["LastModified"])

    def test_a_region_that_is_down_takes_nothing(self):
        self.home.put_object(Bucket=self.source, Key="new", Body=b"new")
        self.estate.region(RECOVERY, "down")
        self.assertEqual({self.status("new") for _ in range(4)}, {"PENDING"})

    def test_only_what_a_rule_covers(self):
        self.put(self.rule(Filter={"Prefix": "film/"}), self.rule(ID="off", Status="Disabled", Priority=2))
        self.home.put_object(Bucket=self.source, Key="still/new", Body=b"new")
        self.home.put_object(Bucket=self.source, Key="film/new", Body=b"new")
        self.assertEqual((self.status("still/new"), self.status("film/new")), (None, "PENDING"))
        self.home.delete_bucket_replication(Bucket=self.source)
        self.refused("ReplicationConfigurationNotFoundError", self.home.get_bucket_replication, 404, Bucket=self.source)

    def test_versions_are_wanted_on_both_sides(self):
        plain = {"Destination": {"Bucket": f"arn:aws:s3:::{self.estate.params['bucket_claim']}"}}
        self.refused("InvalidRequest", lambda: self.put(self.rule(**plain)), 400)
        silent = self.rule()
        del silent["DeleteMarkerReplication"]
        self.refused("InvalidRequest", lambda: self.put(silent), 400)
        unversioned = self.estate.params["bucket_status_2"]
        there = self.estate.client("s3", self.estate.params["bucket_status_2_region"])
        config = {"Role": "arn:aws:iam::123456789012:role/r", "Rules": [self.rule()]}
        self.refused("InvalidRequest", there.put_bucket_replication, 400, Bucket=unversioned, ReplicationConfiguration=config)
