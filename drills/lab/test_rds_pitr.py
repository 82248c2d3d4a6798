"""RDS: automated backups that were replicated, and restoring to a moment."""

from datetime import timedelta

from .testing import Estate, LabTest

BACKUP = [{"Name": "db-instance-id", "Values": ["orders"]}]


class PitrTest(LabTest):
    @classmethod
    def setUpClass(cls):
        cls.estate = Estate()
        cls.rds = cls.estate.client("rds")

    def backup(self):
        found = self.rds.describe_db_instance_automated_backups(Filters=BACKUP)
        (backup,) = found["DBInstanceAutomatedBackups"]
        return backup

    def restore(self, name, **more):
        params = {
            "TargetDBInstanceIdentifier": name, "DBSubnetGroupName": "dr-private",
            "DBParameterGroupName": "dr-pg15",
            "SourceDBInstanceAutomatedBackupsArn": self.backup()["DBInstanceAutomatedBackupsArn"], **more,
        }  # fmt: skip
        return self.rds.restore_db_instance_to_point_in_time(**params)["DBInstance"]

    def test_a_backup_says_from_when_to_when(self):
        backup = self.backup()
        window = backup["RestoreWindow"]
        self.assertEqual(backup["Status"], "active")
        self.assertLess(window["EarliestTime"], window["LatestTime"])
        self.refused(
            "DBInstanceNotFound", self.rds.describe_db_instance_automated_backups, 404,
            DBInstanceIdentifier="orders",
        )  # fmt: skip

    def test_a_moment_within_the_window_is_restored(self):
        latest = self.backup()["RestoreWindow"]["LatestTime"]
        first = self.restore("orders-p", RestoreTime=latest - timedelta(seconds=1))
        self.assertEqual(first["DBInstanceStatus"], "creating")
        self.assertFalse(first["MultiAZ"])
        self.refused("DBInstanceAlreadyExists", self.restore, 400, name="orders-p", UseLatestRestorableTime=True)

    def test_what_lies_outside_is_refused(self):
        window = self.backup()["RestoreWindow"]
        late = window["LatestTime"] + timedelta(minutes=5)
        early = window["EarliestTime"] - timedelta(seconds=1)
        for more, code in (
            ({"RestoreTime": late}, "InvalidParameterValue"),
            ({"RestoreTime": early}, "InvalidParameterValue"),
            ({"RestoreTime": early, "UseLatestRestorableTime": True}, "InvalidParameterCombination"),
            ({}, "InvalidParameterCombination"),
            ({"SourceDbiResourceId": "db-X", "UseLatestRestorableTime": True}, "InvalidParameterCombination"),
        ):
            with self.subTest(more):
                self.refused(code, self.restore, 400, name="orders-q", **more)
        self.refused(
            "DBInstanceAutomatedBackupNotFound", self.restore, 404, name="orders-q",
            SourceDBInstanceAutomatedBackupsArn="arn:aws:rds:eu-central-1:1:auto-backup:ab-none",
            UseLatestRestorableTime=True,
        )  # fmt: skip
