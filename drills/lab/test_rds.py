"""RDS: time, refusals, deletion protection, recovery point."""

from .testing import PRIMARY, Estate, LabTest


class RdsTest(LabTest):
    @classmethod
    def setUpClass(cls):
        cls.estate = Estate()
        cls.rds = cls.estate.client("rds")

    def restore(self, name, **more):
        params = {
            "DBInstanceIdentifier": name, "DBSnapshotIdentifier": "orders-2026-a10",
            "DBInstanceClass": "db.r6g.large", "DBSubnetGroupName": "dr-private",
            "DBParameterGroupName": "dr-pg15",
            "VpcSecurityGroupIds": [self.estate.params["security_group_id"]],
            "Tags": [{"Key": "dr:run", "Value": "r1"}], **more,
        }  # fmt: skip
        return self.rds.restore_db_instance_from_db_snapshot(**params)["DBInstance"]

    def look(self, name):
        return self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]

    def test_a_restore_is_creating_for_two_looks_and_then_available(self):
        first = self.restore("orders-a")
        self.assertEqual(first["DBInstanceStatus"], "creating")
        self.assertNotIn("Endpoint", first)
        self.assertFalse(first["DeletionProtection"])
        self.assertFalse(first["MultiAZ"])
        seen = [self.look("orders-a") for _ in range(3)]
        self.assertEqual([s["DBInstanceStatus"] for s in seen], ["creating", "creating", "available"])
        self.assertNotIn("Endpoint", seen[0])
        self.assertIn("Address", seen[2]["Endpoint"])
        self.assertEqual(seen[2]["TagList"], [{"Key": "dr:run", "Value": "r1"}])
        self.assertEqual(seen[2]["DBParameterGroups"][0]["DBParameterGroupName"], "dr-pg15")
        self.refused("DBInstanceAlreadyExists", self.restore, 400, name="orders-a")

    def test_deletion_goes_through_deleting_and_respects_protection(self):
        self.restore("orders-b", DeletionProtection=True)
        delete = self.rds.delete_db_instance
        who = {"DBInstanceIdentifier": "orders-b"}
        for _ in range(3):
            self.look("orders-b")
        self.refused("InvalidParameterCombination", delete, 400, SkipFinalSnapshot=True, **who)
        changed = self.rds.modify_db_instance(DeletionProtection=False, ApplyImmediately=True, **who)
        self.assertEqual(changed["DBInstance"]["DBInstanceStatus"], "modifying")
        self.refused("InvalidDBInstanceState", self.rds.modify_db_instance, 400, MultiAZ=True, **who)
        while self.look("orders-b")["DBInstanceStatus"] != "available":
            pass
        self.refused("InvalidParameterCombination", delete, 400, **who)
        gone = delete(SkipFinalSnapshot=True, **who)["DBInstance"]
        self.assertEqual(gone["DBInstanceStatus"], "deleting")
        self.assertEqual(self.look("orders-b")["DBInstanceStatus"], "deleting")
        self.refused("InvalidDBInstanceState", delete, 400, SkipFinalSnapshot=True, **who)
        self.look("orders-b")
        self.refused("DBInstanceNotFound", self.rds.describe_db_instances, 404, **who)

    def test_a_renamed_instance_keeps_its_resource_id(self):
        self.restore("orders-n")
        while self.look("orders-n")["DBInstanceStatus"] != "available":
            pass
        before = self.look("orders-n")["DbiResourceId"]
        rename, who = self.rds.modify_db_instance, {"DBInstanceIdentifier": "orders-n"}
        new = {"NewDBInstanceIdentifier": "Orders-N-Old"}
        self.refused("InvalidParameterCombination", rename, 400, **who, **new)
        self.refused(
            "DBInstanceAlreadyExists", rename, 400, **who, NewDBInstanceIdentifier="orders-n", ApplyImmediately=True
        )
        self.assertEqual(rename(**who, **new, ApplyImmediately=True)["DBInstance"]["DBInstanceStatus"], "renaming")
        self.refused("InvalidDBInstanceState", rename, 400, **who, MultiAZ=True)
        while "orders-n" in [db["DBInstanceIdentifier"] for db in self.rds.describe_db_instances()["DBInstances"]]:
            pass
        after = self.look("orders-n-old")
        self.assertEqual((after["DbiResourceId"], after["DBInstanceStatus"]), (before, "available"))
        self.assertIn(":db:orders-n-old", after["DBInstanceArn"])

    def test_a_seed_says_in_which_states_databases_come_to_rest(self):
        rests = ["storage-optimization", "inaccessible-encryption-credentials-recoverable"]
        estate = Estate(db_rests=rests)
        self.rds = estate.client("rds")
        more = {"VpcSecurityGroupIds": [estate.params["security_group_id"]]}
        self.restore("orders-e", **more)
        seen = [self.look("orders-e")["DBInstanceStatus"] for _ in range(4)]
        self.assertEqual(seen, ["creating", "creating", rests[0], rests[0]])
        self.rds.modify_db_instance(DBInstanceIdentifier="orders-e", ApplyImmediately=True)
        seen = [self.look("orders-e")["DBInstanceStatus"] for _ in range(3)]
        self.assertEqual(seen, ["modifying", "modifying", rests[1]])

    def test_what_is_not_there_is_refused_in_the_words_of_aws(self):
        for more, code, status in (
            ({"DBSubnetGroupName": "nope"}, "DBSubnetGroupNotFoundFault", 404),
            ({"DBParameterGroupName": "nope"}, "DBParameterGroupNotFound", 404),
            ({"VpcSecurityGroupIds": ["sg-12345678"]}, "InvalidParameterValue", 400),
            ({"DBSnapshotIdentifier": "nope"}, "DBSnapshotNotFound", 404),
            ({"DBSnapshotIdentifier": "orders-2026-d00"}, "InvalidDBSnapshotState", 400),
            ({"DBInstanceClass": "huge"}, "InvalidParameterValue", 400),
        ):
            with self.subTest(more):
                self.refused(code, self.restore, status, name="orders-c", **more)
        self.refused("InvalidParameterValue", self.restore, 400, name="bad--name")

    def test_the_recovery_point_is_not_the_creation_time(self):
        found = self.rds.describe_db_snapshots(DBInstanceIdentifier="users")["DBSnapshots"]
        ready = [s for s in found if s["Status"] == "available"]
        by_data = max(ready, key=lambda s: s["SnapshotDatabaseTime"])["DBSnapshotIdentifier"]
        by_copy = max(ready, key=lambda s: s["SnapshotCreateTime"])["DBSnapshotIdentifier"]
        self.assertEqual((by_data, by_copy), ("users-2026-a10", "users-2026-c130"))
        self.assertTrue(all(s["OriginalSnapshotCreateTime"] for s in ready))
        self.assertEqual(len(found), 4)

    def test_a_copy_keeps_the_moment_of_its_data(self):
        source = f"arn:aws:rds:eu-central-1:{self.estate.name}:snapshot:orders-2026-b70"
        north = self.estate.client("rds", "eu-north-1")
        copy = north.copy_db_snapshot(
            SourceDBSnapshotIdentifier=source, TargetDBSnapshotIdentifier="orders-copy", SourceRegion="eu-central-1"
        )["DBSnapshot"]
        original = self.rds.describe_db_snapshots(DBSnapshotIdentifier="orders-2026-b70")["DBSnapshots"][0]
        self.assertEqual(copy["Status"], "creating")
        self.assertEqual(copy["SnapshotDatabaseTime"], original["SnapshotDatabaseTime"])

    def test_the_primary_has_its_databases(self):
        home = self.estate.client("rds", PRIMARY).describe_db_instances()["DBInstances"]
        self.assertEqual(sorted(d["DBInstanceIdentifier"] for d in home), ["orders", "users"])
