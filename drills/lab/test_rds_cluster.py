"""Aurora clusters: restored without instances, in time, and deleted when they have none."""

from datetime import timedelta

from .testing import Estate, LabTest


class ClusterTest(LabTest):
    def setUp(self):
        self.estate = Estate(aurora=True)
        self.rds = self.estate.client("rds")
        self.groups = {
            "DBSubnetGroupName": "dr-private", "DBClusterParameterGroupName": "dr-aurora-pg15",
            "VpcSecurityGroupIds": [self.estate.params["security_group_id"]],
        }  # fmt: skip

    def look(self, name="ledger-dr"):
        return self.rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]

    def restore(self, **more):
        params = {
            "DBClusterIdentifier": "ledger-dr", "SnapshotIdentifier": "ledger-2026-a10", "Engine": "aurora-postgresql",
            "Tags": [{"Key": "dr:run", "Value": "r1"}], **self.groups,
        }  # fmt: skip
        return self.rds.restore_db_cluster_from_snapshot(**{**params, **more})["DBCluster"]

    def add(self, **more):
        params = {
            "DBInstanceIdentifier": "ledger-dr-1", "DBClusterIdentifier": "ledger-dr", "Engine": "aurora-postgresql",
            "DBInstanceClass": "db.r6g.large", "Tags": [{"Key": "dr:run", "Value": "r1"}],
        }  # fmt: skip
        return self.rds.create_db_instance(**{**params, **more})["DBInstance"]

    def test_a_cluster_is_restored_in_time_and_without_instances(self):
        first = self.restore()
        self.assertEqual((first["Status"], first["DBClusterMembers"]), ("creating", []))
        self.refused("InvalidDBClusterStateFault", self.add, 400)
        self.assertEqual([self.look()["Status"] for _ in range(3)], ["creating", "creating", "available"])
        seen = self.look()
        self.assertEqual((seen["DBSubnetGroup"], seen["DBClusterParameterGroup"]), ("dr-private", "dr-aurora-pg15"))
        self.assertEqual(seen["TagList"], [{"Key": "dr:run", "Value": "r1"}])
        self.refused("DBClusterAlreadyExistsFault", self.restore, 400)
        made = self.add()
        self.assertEqual((made["DBInstanceStatus"], made["TagList"]), ("creating", [{"Key": "dr:run", "Value": "r1"}]))
        self.refused("DBInstanceAlreadyExists", self.add, 400)
        (member,) = self.look()["DBClusterMembers"]
        self.assertEqual((member["DBInstanceIdentifier"], member["IsClusterWriter"]), ("ledger-dr-1", True))

    def test_it_is_deleted_when_it_has_no_instances(self):
        self.restore()
        while self.look()["Status"] != "available":
            pass
        self.add()
        delete = self.rds.delete_db_cluster
        who = {"DBClusterIdentifier": "ledger-dr"}
        self.refused("InvalidDBClusterStateFault", delete, 400, SkipFinalSnapshot=True, **who)
        self.refused("InvalidParameterCombination", delete, 400, **who)
        self.rds.modify_db_cluster(DeletionProtection=True, ApplyImmediately=True, **who)
        self.refused("InvalidParameterCombination", delete, 400, SkipFinalSnapshot=True, **who)
        self.rds.modify_db_cluster(DeletionProtection=False, ApplyImmediately=True, **who)
        instance = {"DBInstanceIdentifier": "ledger-dr-1"}
        while self.rds.describe_db_instances(**instance)["DBInstances"][0]["DBInstanceStatus"] != "available":
            pass
        self.rds.delete_db_instance(SkipFinalSnapshot=True, **instance)
        self.assertEqual(delete(SkipFinalSnapshot=True, **who)["DBCluster"]["Status"], "deleting")
        for _ in range(2):
            self.look()
        self.refused("DBClusterNotFoundFault", self.look, 404)

    def test_a_moment_lies_within_the_window(self):
        source = self.look("ledger-eu-central-1")
        restore = self.rds.restore_db_cluster_to_point_in_time
        who = {"SourceDBClusterIdentifier": "ledger-eu-central-1", "DBClusterIdentifier": "ledger-dr", **self.groups}
        for more, code in (
            ({"RestoreToTime": source["LatestRestorableTime"] + timedelta(minutes=5)}, "InvalidParameterValue"),
            ({"RestoreToTime": source["EarliestRestorableTime"] - timedelta(minutes=5)}, "InvalidParameterValue"),
            ({}, "InvalidParameterCombination"),
        ):
            with self.subTest(more):
                self.refused(code, restore, 400, **who, **more)
        self.refused(
            "DBClusterNotFoundFault", restore, 404, UseLatestRestorableTime=True,
            **{**who, "SourceDBClusterIdentifier": "nothing"},
        )  # fmt: skip
        at = source["LatestRestorableTime"] - timedelta(minutes=1)
        self.assertEqual(restore(RestoreToTime=at, **who)["DBCluster"]["Status"], "creating")

    def test_what_is_not_there_is_refused(self):
        for more, code, status in (
            ({"SnapshotIdentifier": "nope"}, "DBClusterSnapshotNotFoundFault", 404),
            ({"SnapshotIdentifier": "ledger-2026-d00"}, "InvalidDBClusterSnapshotStateFault", 400),
            ({"DBClusterParameterGroupName": "nope"}, "DBClusterParameterGroupNotFound", 404),
            ({"DBSubnetGroupName": "nope"}, "DBSubnetGroupNotFoundFault", 404),
            ({"Engine": "aurora-mysql"}, "InvalidParameterCombination", 400),
        ):
            with self.subTest(more):
                self.refused(code, self.restore, status, **more)
        self.refused("DBClusterNotFoundFault", self.add, 404, DBClusterIdentifier="nothing")

    def test_a_copy_says_what_it_was_copied_from(self):
        describe = self.rds.describe_db_cluster_snapshots
        own = describe(DBClusterIdentifier="ledger-eu-central-1")["DBClusterSnapshots"]
        self.assertEqual(sorted(s["DBClusterSnapshotIdentifier"] for s in own), [
            "ledger-2026-a10", "ledger-2026-b70", "ledger-2026-d00",
        ])  # fmt: skip
        self.assertTrue(all("SourceDBClusterSnapshotArn" not in s for s in own))
        (copy,) = describe(DBClusterSnapshotIdentifier="ledger-2026-copy")["DBClusterSnapshots"]
        self.assertIn("eu-west-1", copy["SourceDBClusterSnapshotArn"])
        self.refused("DBClusterSnapshotNotFoundFault", describe, 404, DBClusterSnapshotIdentifier="nope")
