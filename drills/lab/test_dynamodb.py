"""DynamoDB: restores that take time and forget what AWS forgets."""

from datetime import timedelta

from .testing import PRIMARY, RECOVERY, Estate, LabTest


class DynamoTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.db = self.estate.client("dynamodb")

    def restore(self, name="sessions-dr", source="sessions", **more):
        found = self.db.list_backups(TableName=source)["BackupSummaries"]
        arn = max(found, key=lambda b: b["BackupCreationDateTime"])["BackupArn"]
        return self.db.restore_table_from_backup(TargetTableName=name, BackupArn=arn, **more)["TableDescription"]

    def table(self, name="sessions-dr"):
        return self.db.describe_table(TableName=name)["Table"]

    def ready(self, name="sessions-dr"):
        while self.table(name)["TableStatus"] != "ACTIVE":
            pass

    def test_a_restore_takes_looks_and_leaves_things_behind(self):
        first = self.restore()
        self.assertEqual(first["TableStatus"], "CREATING")
        self.assertTrue(first["RestoreSummary"]["RestoreInProgress"])
        self.refused("ResourceNotFoundException", self.db.scan, 400, TableName="sessions-dr")
        self.refused("ResourceInUseException", self.db.delete_table, 400, TableName="sessions-dr")
        seen = [self.table() for _ in range(3)]
        self.assertEqual([t["TableStatus"] for t in seen], ["CREATING", "CREATING", "ACTIVE"])
        last = seen[2]
        self.assertFalse(last["RestoreSummary"]["RestoreInProgress"])
        self.assertIn("backup/", last["RestoreSummary"]["SourceBackupArn"])
        self.assertEqual(last["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST")
        self.assertNotIn("StreamSpecification", last)
        self.assertEqual(self.db.list_tags_of_resource(ResourceArn=last["TableArn"])["Tags"], [])
        self.assertEqual(self.ttl(), {"TimeToLiveStatus": "DISABLED"})
        self.assertEqual(self.pitr(), "DISABLED")
        self.assertEqual(self.db.scan(TableName="sessions-dr")["Count"], 20)
        self.refused("TableAlreadyExistsException", self.restore)

    def ttl(self):
        return self.db.describe_time_to_live(TableName="sessions-dr")["TimeToLiveDescription"]

    def pitr(self):
        return self.continuous()["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]

    def continuous(self):
        return self.db.describe_continuous_backups(TableName="sessions-dr")["ContinuousBackupsDescription"]

    def test_what_was_left_behind_can_be_put_back(self):
        arn = self.restore()["TableArn"]
        name = {"TableName": "sessions-dr"}
        spec = {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "expires"}}
        self.refused("ResourceInUseException", self.db.update_time_to_live, 400, **name, **spec)
        self.refused("ResourceInUseException", self.db.tag_resource, ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
        self.ready()
        self.db.update_time_to_live(**name, **spec)
        words = self.refused("ValidationException", self.db.update_time_to_live, 400, **name, **spec)
        self.assertEqual(words, "TimeToLive is already enabled")
        self.assertEqual([self.ttl()["TimeToLiveStatus"] for _ in range(3)], ["ENABLING", "ENABLING", "ENABLED"])
        on = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
        seen = [self.continuous()["ContinuousBackupsStatus"]]
        words = self.refused(
            "ContinuousBackupsUnavailableException", self.db.update_continuous_backups, 400, **name, **on
        )
        self.assertIn("Backups are being enabled", words)
        seen += [self.continuous()["ContinuousBackupsStatus"]]
        self.assertEqual(seen, ["DISABLED", "ENABLED"])
        self.db.update_continuous_backups(**name, **on)
        self.assertEqual(self.pitr(), "ENABLED")
        self.db.tag_resource(ResourceArn=arn, Tags=[{"Key": "dr:run", "Value": "r1"}])
        stream = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        changed = self.db.update_table(**name, StreamSpecification=stream)["TableDescription"]
        self.assertEqual(changed["TableStatus"], "UPDATING")
        self.refused("ResourceInUseException", self.db.update_table, **name, BillingMode="PAY_PER_REQUEST")
        self.ready()
        self.refused("ValidationException", self.db.update_table, **name, StreamSpecification=stream)
        self.assertEqual(self.table()["StreamSpecification"], stream)

    def test_deleting(self):
        first = self.restore()["TableId"]
        self.ready()
        self.assertEqual(self.table()["TableId"], first)
        gone = self.db.delete_table(TableName="sessions-dr")["TableDescription"]
        self.assertEqual(gone["TableStatus"], "DELETING")
        seen = [self.table()["TableStatus"] for _ in range(2)]
        self.assertEqual(seen, ["DELETING", "DELETING"])
        self.refused("ResourceNotFoundException", self.db.describe_table, 400, TableName="sessions-dr")
        self.assertNotEqual(self.restore()["TableId"], first, "the name says nothing of which table it is")

    def test_a_table_with_point_in_time_recovery_leaves_a_backup_behind(self):
        def of(table, **more):
            found = self.db.list_backups(TableName=table, **more)["BackupSummaries"]
            return [(b["BackupName"], b["BackupType"], b["BackupStatus"]) for b in found if b["BackupType"] != "USER"]

        before = self.estate.dump(mask=True)
        self.restore()
        self.ready()
        self.db.delete_table(TableName="sessions-dr")
        self.assertEqual(of("sessions-dr", BackupType="ALL"), [])
        while not self.gone("sessions-dr"):
            pass
        self.assertEqual(self.estate.dump(mask=True), before)
        self.db.delete_table(TableName="sessions")
        name = "sessions$DeletedTableBackup"
        self.assertEqual(of("sessions", BackupType="ALL"), [(name, "SYSTEM", "CREATING")])
        while not self.gone("sessions"):
            pass
        self.assertEqual(of("sessions", BackupType="SYSTEM"), [(name, "SYSTEM", "AVAILABLE")])
        self.assertEqual(of("sessions"), [], "only those that people made, if nothing is said")
        self.assertEqual(len(self.db.list_backups(TableName="sessions")["BackupSummaries"]), 2)

    def gone(self, name):
        try:
            self.table(name)
        except self.db.exceptions.ResourceNotFoundException:
            return True
        return False

    def test_a_backup_is_of_one_region(self):
        arn = self.db.list_backups(TableName="carts")["BackupSummaries"][0]["BackupArn"]
        self.assertIn(RECOVERY, arn)
        home = self.estate.client("dynamodb", PRIMARY)
        self.assertEqual(home.list_backups()["BackupSummaries"], [])
        self.refused("BackupNotFoundException", home.restore_table_from_backup, 400, TargetTableName="carts-dr", BackupArn=arn)
        page = self.db.list_backups(Limit=1)
        rest = self.db.list_backups(ExclusiveStartBackupArn=page["LastEvaluatedBackupArn"])
        self.assertEqual(len(rest["BackupSummaries"]), 3)

    def test_a_name_too_short_for_the_model_is_refused(self):
        db = self.estate.client("dynamodb", validate=False)
        words = self.refused("ValidationException", db.create_backup, 400, TableName="carts", BackupName="x")
        self.assertIn("length greater than or equal to 3", words)
        words = self.refused("ValidationException", db.create_backup, 400, TableName="carts", BackupName="a b c")
        self.assertIn("regular expression", words)
        self.assertEqual(self.estate.calls()[-1]["effect"], "none")

    def test_point_in_time(self):
        made = self.db.restore_table_to_point_in_time(
            SourceTableName="carts", TargetTableName="carts-dr", UseLatestRestorableTime=True
        )["TableDescription"]
        self.assertEqual(made["TableStatus"], "CREATING")
        self.ready("carts-dr")
        self.assertEqual(self.db.scan(TableName="carts-dr")["Count"], 21)
        self.refused(
            "PointInTimeRecoveryUnavailableException", self.db.restore_table_to_point_in_time, 400,
            SourceTableName="carts-dr", TargetTableName="carts-dr-2", UseLatestRestorableTime=True,
        )  # fmt: skip
        told = self.db.describe_continuous_backups(TableName="carts")["ContinuousBackupsDescription"]
        window = told["PointInTimeRecoveryDescription"]
        late = window["LatestRestorableDateTime"] + timedelta(minutes=5)
        for at in (late, window["EarliestRestorableDateTime"] - timedelta(seconds=1)):
            self.refused(
                "InvalidRestoreTimeException", self.db.restore_table_to_point_in_time, 400,
                SourceTableName="carts", TargetTableName="carts-dr-3", RestoreDateTime=at,
            )  # fmt: skip
