"""Aurora global databases: a writer that moves, with and without the old one."""

from .testing import PRIMARY, Estate, LabTest


class GlobalTest(LabTest):
    def setUp(self):
        self.estate = Estate(aurora=True)
        self.rds = self.estate.client("rds")
        self.home = self.estate.client("rds", PRIMARY)
        self.old, self.new = (
            f"arn:aws:rds:{region}:{self.estate.name}:cluster:ledger-{region}" for region in (PRIMARY, "eu-central-1")
        )

    def look(self, client=None):
        found = (client or self.rds).describe_global_clusters(GlobalClusterIdentifier="ledger")
        return found["GlobalClusters"][0]

    def writer(self):
        return [m["DBClusterArn"] for m in self.look()["GlobalClusterMembers"] if m["IsWriter"]]

    def failover(self, **more):
        who = {"GlobalClusterIdentifier": "ledger", "TargetDbClusterIdentifier": self.new}
        return self.rds.failover_global_cluster(**{**who, "AllowDataLoss": True, **more})["GlobalCluster"]

    def switchover(self, client=None, target=None):
        return (client or self.rds).switchover_global_cluster(
            GlobalClusterIdentifier="ledger", TargetDbClusterIdentifier=target or self.new
        )["GlobalCluster"]

    def test_one_member_writes_and_the_other_has_no_writer(self):
        self.assertEqual(self.writer(), [self.old])
        self.assertEqual(self.look()["FailoverState"], {})
        self.assertEqual(self.look(self.home)["Status"], "available")
        (cluster,) = self.rds.describe_db_clusters(DBClusterIdentifier="ledger-eu-central-1")["DBClusters"]
        self.assertEqual([m["IsClusterWriter"] for m in cluster["DBClusterMembers"]], [False])
        (cluster,) = self.home.describe_db_clusters(DBClusterIdentifier="ledger-eu-west-1")["DBClusters"]
        self.assertEqual([m["IsClusterWriter"] for m in cluster["DBClusterMembers"]], [True])

    def test_a_failover_moves_the_writer_though_the_old_one_is_lost(self):
        self.estate.region(PRIMARY, "down")
        self.refused("InvalidGlobalClusterStateFault", self.switchover, 400)
        said = self.failover()
        self.assertEqual((said["Status"], said["FailoverState"]["Status"]), ("failing-over", "pending"))
        self.refused("InvalidGlobalClusterStateFault", self.failover, 400)
        seen = [self.look() for _ in range(4)]
        self.assertEqual(
            [(s["Status"], s["FailoverState"].get("Status")) for s in seen],
            [("failing-over", "pending")] * 2 + [("failing-over", "failing-over"), ("available", None)],
        )
        self.assertEqual(seen[0]["FailoverState"]["ToDbClusterArn"], self.new)
        self.assertTrue(seen[0]["FailoverState"]["IsDataLossAllowed"])
        self.assertEqual(self.writer(), [self.new])
        sync = {m["DBClusterArn"]: m["SynchronizationStatus"] for m in self.look()["GlobalClusterMembers"]}
        self.assertEqual(sync, {self.old: "pending-resync", self.new: "connected"})
        (cluster,) = self.rds.describe_db_clusters(DBClusterIdentifier="ledger-eu-central-1")["DBClusters"]
        self.assertEqual([m["IsClusterWriter"] for m in cluster["DBClusterMembers"]], [True])
        states = [
            self.rds.describe_db_instances(DBInstanceIdentifier="ledger-eu-central-1-1")["DBInstances"][0]["DBInstanceStatus"]
            for _ in range(3)
        ]
        self.assertEqual(states, ["rebooting", "rebooting", "available"])

    def test_a_switchover_wants_all_and_goes_back_again(self):
        said = self.switchover()
        self.assertEqual((said["Status"], said["FailoverState"]["IsDataLossAllowed"]), ("switching-over", False))
        for _ in range(4):
            self.look()
        self.assertEqual(self.writer(), [self.new])
        self.switchover(self.home, self.old)
        for _ in range(4):
            self.look()
        self.assertEqual(self.writer(), [self.old])

    def test_what_cannot_be_moved_is_refused(self):
        self.refused("GlobalClusterNotFoundFault", self.failover, 404, GlobalClusterIdentifier="nothing")
        self.refused("DBClusterNotFoundFault", self.failover, 404, TargetDbClusterIdentifier=self.new + "x")
        self.refused("InvalidParameterCombination", self.failover, 400, Switchover=True)
        # It is asked for where the target is, and the target is not what writes already.
        self.refused("DBClusterNotFoundFault", self.failover, 404, TargetDbClusterIdentifier=self.old)
        self.refused("InvalidGlobalClusterStateFault", self.switchover, 400, client=self.home, target=self.old)
        self.refused(
            "GlobalClusterNotFoundFault", self.estate.client("rds", "eu-north-1").describe_global_clusters, 404,
            GlobalClusterIdentifier="ledger",
        )  # fmt: skip
