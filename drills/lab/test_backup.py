"""AWS Backup: recovery points, and restore jobs that are asked for once."""

import json
import unittest
from datetime import datetime, timedelta, timezone

from .testing import Estate, LabTest


class BackupTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.backup = self.estate.client("backup")
        self.point = self.estate.params["backup_point_profiles"]

    def start(self, token="t-1", target="profiles-dr", **more):
        params = {
            "RecoveryPointArn": self.point, "IdempotencyToken": token, "IamRoleArn": "arn:aws:iam::1:role/backup",
            "Metadata": {"originalTableName": "profiles", "targetTableName": target}, **more,
        }  # fmt: skip
        return self.backup.start_restore_job(**params)["RestoreJobId"]

    def look(self, job):
        return self.backup.describe_restore_job(RestoreJobId=job)

    def test_points_are_listed_by_pages_the_newest_last_and_one_is_not_whole(self):
        found, more = [], {}
        while True:
            reply = self.backup.list_recovery_points_by_backup_vault(BackupVaultName="dr-vault", **more)
            found += reply["RecoveryPoints"]
            if "NextToken" not in reply:
                break
            more = {"NextToken": reply["NextToken"]}
        self.assertEqual([each["Status"] for each in found], ["COMPLETED", "COMPLETED", "COMPLETED", "PARTIAL"])
        mine = self.backup.list_recovery_points_by_backup_vault(
            BackupVaultName="dr-vault", ByResourceArn=self.estate.params["arn_profiles"]
        )
        self.assertEqual({each["ResourceName"] for each in mine["RecoveryPoints"]}, {"profiles"})
        told = self.backup.get_recovery_point_restore_metadata(BackupVaultName="dr-vault", RecoveryPointArn=self.point)
        self.assertEqual(told["RestoreMetadata"]["originalTableName"], "profiles")
        with self.assertRaises(self.backup.exceptions.ResourceNotFoundException):
            self.backup.list_recovery_points_by_backup_vault(BackupVaultName="nothing")

    def test_a_job_makes_the_table_after_its_looks_and_is_asked_for_once_per_token(self):
        job = self.start()
        self.assertEqual(self.start(), job)
        self.assertEqual([self.look(job)["Status"] for _ in range(3)], ["PENDING", "RUNNING", "COMPLETED"])
        done = self.look(job)
        self.assertTrue(done["CreatedResourceArn"].endswith("eu-central-1:" + self.estate.name + ":table/profiles-dr"))
        age = datetime.now(timezone.utc) - done["RecoveryPointCreationDate"]
        self.assertLess(abs(age - timedelta(minutes=20)), timedelta(minutes=2))
        table = self.estate.client("dynamodb").describe_table(TableName="profiles-dr")["Table"]
        self.assertEqual((table["TableStatus"], table["ItemCount"] > 0), ("ACTIVE", True))
        self.assertEqual(self.start(), job)
        self.assertEqual(len(self.backup.list_restore_jobs()["RestoreJobs"]), 1)

    def test_what_is_in_the_way_fails_the_job_and_not_the_call(self):
        job = self.start(target="sessions")
        [self.look(job) for _ in range(2)]
        self.assertEqual((self.look(job)["Status"], self.look(job)["StatusMessage"]), ("FAILED", "Table already exists: sessions"))
        self.assertNotEqual(self.start("t-2", "profiles-dr"), job)

    def test_what_is_missing_or_not_whole_is_refused(self):
        errors = self.backup.exceptions
        with self.assertRaises(errors.InvalidParameterValueException):
            self.start(Metadata={"originalTableName": "profiles"})
        with self.assertRaises(errors.ResourceNotFoundException):
            self.start(RecoveryPointArn=self.point + "0")
        with self.assertRaises(errors.InvalidRequestException):
            self.start(RecoveryPointArn=self.point.rsplit("-", 1)[0] + "-5")

    def test_the_dump_shows_jobs_without_their_ids(self):
        self.start()
        (job,) = json.loads(self.estate.dump())["backup"]["jobs"]
        self.assertEqual((job["status"], job["metadata"]["targetTableName"]), ("PENDING", "profiles-dr"))


if __name__ == "__main__":
    unittest.main()
