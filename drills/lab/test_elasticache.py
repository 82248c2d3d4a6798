"""ElastiCache: replication groups that are made in their own time, and what they can be made from."""

from .testing import PRIMARY, RECOVERY, Estate, LabTest


class CacheTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.cache = self.estate.client("elasticache")

    def make(self, name="Sessions-DR", **more):
        asked = {
            "ReplicationGroupDescription": "a test", "CacheNodeType": "cache.r7g.large", "Engine": "redis",
            "CacheSubnetGroupName": "dr-cache", "CacheParameterGroupName": "dr-redis7", "ReplicasPerNodeGroup": 1,
            "AutomaticFailoverEnabled": True, "Tags": [{"Key": "dr:run", "Value": "r1"}],
        }  # fmt: skip
        return self.cache.create_replication_group(ReplicationGroupId=name, **asked | more)["ReplicationGroup"]

    def group(self, name="sessions-dr"):
        return self.cache.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0]

    def snapshot(self, name):
        return self.cache.describe_snapshots(SnapshotName=name)["Snapshots"][0]

    def test_a_group_is_made_from_a_snapshot_and_deleted_in_its_own_time(self):
        name = "sessions-cache-2026-a10"
        made = self.make(SnapshotName=name)
        self.assertEqual((made["ReplicationGroupId"], made["Status"]), ("sessions-dr", "creating"))
        self.assertEqual(self.snapshot(name)["SnapshotStatus"], "restoring")
        self.refused("InvalidReplicationGroupState", self.cache.list_tags_for_resource, 400, ResourceName=made["ARN"])
        self.refused("InvalidReplicationGroupState", self.cache.delete_replication_group, 400, ReplicationGroupId="sessions-dr")
        self.assertEqual([self.group()["Status"] for _ in range(3)], ["creating", "creating", "available"])
        self.assertEqual(self.group()["NodeGroups"][0]["PrimaryEndpoint"]["Port"], 6379)
        tags = self.cache.list_tags_for_resource(ResourceName=made["ARN"])["TagList"]
        self.assertEqual(tags, [{"Key": "dr:run", "Value": "r1"}])
        self.assertEqual(self.snapshot(name)["SnapshotStatus"], "available")
        self.refused("ReplicationGroupAlreadyExists", self.make, 400)
        self.cache.delete_replication_group(ReplicationGroupId="sessions-dr")
        self.assertEqual([self.group()["Status"] for _ in range(2)], ["deleting", "deleting"])
        self.refused("ReplicationGroupNotFoundFault", self.group, 404)

    def test_what_does_not_fit_is_refused(self):
        for code, more in (
            ("SnapshotNotFoundFault", {"SnapshotName": "nothing"}),
            ("InvalidParameterValue", {"SnapshotName": "sessions-cache-2026-d00"}),
            ("InvalidParameterValue", {"SnapshotName": "carts-cache-2026-a30"}),
            ("InvalidParameterValue", {"SnapshotArns": ["arn:aws:s3:::nothing/dump.rdb"]}),
            ("InvalidParameterCombination", {"SnapshotName": "x", "SnapshotArns": ["arn:aws:s3:::x/y"]}),
            ("CacheSubnetGroupNotFoundFault", {"CacheSubnetGroupName": "nothing"}),
            ("CacheParameterGroupNotFound", {"CacheParameterGroupName": "nothing"}),
            ("InvalidParameterValue", {"ReplicasPerNodeGroup": 0}),
            ("InvalidParameterValue", {"Engine": "memcached"}),
            ("InvalidParameterCombination", {"UserGroupIds": ["apps"]}),
            ("InvalidParameterValue", {"name": "9lives"}),
        ):
            self.refused(code, self.make, **more)
        home = self.estate.client("elasticache", PRIMARY)
        self.assertEqual(home.describe_snapshots()["Snapshots"], [])
        self.refused("ReplicationGroupNotFoundFault", self.group, 404)

    def test_shards_and_files(self):
        made = self.make(
            "carts-dr", SnapshotName="carts-cache-2026-a30", NumNodeGroups=2, CacheParameterGroupName="dr-redis7-cluster"
        )
        self.assertTrue(made["ClusterEnabled"])
        for _ in range(2):
            self.group("carts-dr")
        self.assertIn("Address", self.group("carts-dr")["ConfigurationEndpoint"])
        bucket = self.estate.params["bucket_assets_target"]
        self.estate.client("s3", RECOVERY).put_object(Bucket=bucket, Key="dump.rdb", Body=b"x")
        self.assertEqual(self.make("filled", SnapshotArns=[f"arn:aws:s3:::{bucket}/dump.rdb"])["Status"], "creating")
        self.assertEqual([len(s["NodeSnapshots"]) for s in self.cache.describe_snapshots()["Snapshots"]], [2, 1, 1, 1])
        page = self.cache.describe_snapshots(ReplicationGroupId="sessions-cache", MaxRecords=20)
        self.assertEqual(len(page["Snapshots"]), 3)
