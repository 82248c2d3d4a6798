"""RDS: a replica that follows, one that is made, one that is promoted late and for good."""

from datetime import datetime, timedelta, timezone

from .testing import PRIMARY, Estate, LabTest


class ReplicaTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.rds = self.estate.client("rds")
        self.home = self.estate.client("rds", PRIMARY)

    def look(self, name="orders-replica", client=None):
        return (client or self.rds).describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]

    def source(self):
        return self.look("orders", self.home)

    def promote(self, name="orders-replica", **more):
        return self.rds.promote_read_replica(DBInstanceIdentifier=name, **more)["DBInstance"]

    def create(self, name="orders-second", **more):
        params = {
            "DBInstanceIdentifier": name, "SourceDBInstanceIdentifier": self.source()["DBInstanceArn"],
            "SourceRegion": PRIMARY, "DBSubnetGroupName": "dr-private", "DBParameterGroupName": "dr-pg15",
            "VpcSecurityGroupIds": [self.estate.params["security_group_id"]], **more,
        }  # fmt: skip
        return self.rds.create_db_instance_read_replica(**params)["DBInstance"]

    def test_the_seed_has_one_that_follows_and_says_how_far_it_is_behind(self):
        replica = self.look()
        self.assertEqual(replica["ReadReplicaSourceDBInstanceIdentifier"], self.source()["DBInstanceArn"])
        self.assertEqual(replica["BackupRetentionPeriod"], 0)
        (info,) = replica["StatusInfos"]
        self.assertEqual((info["StatusType"], info["Normal"], info["Status"]), ("read replication", True, "replicating"))
        self.assertEqual(self.source()["ReadReplicaDBInstanceIdentifiers"], [replica["DBInstanceArn"]])
        now = datetime.now(timezone.utc)
        stat = {
            "Metric": {
                "Namespace": "AWS/RDS", "MetricName": "ReplicaLag",
                "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "orders-replica"}],
            },
            "Period": 60, "Stat": "Maximum",
        }  # fmt: skip
        (result,) = self.estate.client("cloudwatch").get_metric_data(
            MetricDataQueries=[{"Id": "lag", "MetricStat": stat}], StartTime=now - timedelta(hours=1), EndTime=now
        )["MetricDataResults"]
        self.assertEqual(result["Values"][:2], [4.0, 3.0])
        self.assertLess(now - result["Timestamps"][0], timedelta(minutes=3))

    def test_a_lost_source_is_an_error_of_replication_and_the_replica_can_still_be_promoted(self):
        self.estate.region(PRIMARY, "down")
        self.assertEqual(self.look()["StatusInfos"][0]["Status"], "error")
        self.promote()
        seen = [self.look() for _ in range(5)]
        self.assertNotIn("ReadReplicaSourceDBInstanceIdentifier", seen[-1])

    def test_a_promotion_begins_late_and_the_source_goes_last(self):
        said = self.promote(BackupRetentionPeriod=7, PreferredBackupWindow="02:00-03:00")
        self.assertEqual(said["DBInstanceStatus"], "available")
        for again in range(2):
            self.refused("InvalidDBInstanceState", self.promote, 400)
        seen = [self.look() for _ in range(5)]
        states = [(s["DBInstanceStatus"], "ReadReplicaSourceDBInstanceIdentifier" in s) for s in seen]
        self.assertEqual(states, [
            ("available", True), ("available", True), ("modifying", True), ("rebooting", True), ("available", False),
        ])  # fmt: skip
        self.assertEqual((seen[-1]["BackupRetentionPeriod"], seen[-1]["PreferredBackupWindow"]), (7, "02:00-03:00"))
        self.assertEqual(seen[-1].get("StatusInfos", []), [])
        self.assertEqual(self.source()["ReadReplicaDBInstanceIdentifiers"], [])
        self.refused("InvalidDBInstanceState", self.promote, 400)

    def test_what_cannot_be_promoted_is_refused(self):
        self.refused("DBInstanceNotFound", self.promote, 404, name="nothing")
        self.refused("InvalidParameterValue", self.promote, 400, BackupRetentionPeriod=36)
        self.rds.modify_db_instance(DBInstanceIdentifier="orders-replica", ApplyImmediately=True)
        self.refused("InvalidDBInstanceState", self.promote, 400)
        with self.subTest("one that is no replica"):
            self.refused("InvalidDBInstanceState", self.home.promote_read_replica, 400, DBInstanceIdentifier="users")

    def test_one_that_is_made_is_available_before_it_follows(self):
        made = self.create(Tags=[{"Key": "dr:run", "Value": "r1"}], MultiAZ=True)
        self.assertEqual(made["DBInstanceStatus"], "creating")
        self.assertTrue(made["MultiAZ"])
        self.assertEqual(made["TagList"], [{"Key": "dr:run", "Value": "r1"}])
        self.assertIn("eu-central-1", made["DBInstanceArn"])
        seen = [self.look("orders-second") for _ in range(5)]
        self.assertEqual(
            [(s["DBInstanceStatus"], [i["Status"] for i in s.get("StatusInfos", [])]) for s in seen],
            [("creating", []), ("creating", []), ("available", []), ("available", []), ("available", ["replicating"])],
        )
        self.assertEqual(seen[-1]["DBSubnetGroup"]["DBSubnetGroupName"], "dr-private")
        self.assertEqual(len(self.source()["ReadReplicaDBInstanceIdentifiers"]), 2)
        self.refused("DBInstanceAlreadyExists", self.create, 400)
        self.rds.delete_db_instance(DBInstanceIdentifier="orders-second", SkipFinalSnapshot=True)
        for _ in range(2):
            self.look("orders-second")
        self.refused("DBInstanceNotFound", self.look, 404, name="orders-second")
        self.assertEqual(len(self.source()["ReadReplicaDBInstanceIdentifiers"]), 1)

    def test_what_no_replica_can_be_made_of_is_refused(self):
        for more, code, status in (
            ({"SourceDBInstanceIdentifier": "orders"}, "DBInstanceNotFound", 404),
            ({"DBSubnetGroupName": "nope"}, "DBSubnetGroupNotFoundFault", 404),
            ({"SourceDBInstanceIdentifier": "orders-replica"}, "InvalidDBInstanceState", 400),
        ):
            with self.subTest(more):
                self.refused(code, self.create, status, **more)
        self.estate.region(PRIMARY, "down")
        arn = f"arn:aws:rds:{PRIMARY}:{self.estate.name}:db:orders"
        self.refused(
            "ServiceUnavailable", self.rds.create_db_instance_read_replica, 503, DBInstanceIdentifier="orders-third",
            SourceDBInstanceIdentifier=arn,
        )  # fmt: skip
