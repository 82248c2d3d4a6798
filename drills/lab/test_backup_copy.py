"""AWS Backup: copies of recovery points into other vaults."""

import json
import unittest

from .testing import Estate, LabTest


class BackupCopyTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.backup = self.estate.client("backup")
        self.point = self.estate.params["backup_point_profiles"]
        self.to = self.estate.params["vault_second_arn"]

    def start(self, token="t-1", **more):
        params = {
            "RecoveryPointArn": self.point, "SourceBackupVaultName": "dr-vault", "DestinationBackupVaultArn": self.to,
            "IamRoleArn": "arn:aws:iam::1:role/backup", "IdempotencyToken": token, **more,
        }  # fmt: skip
        return self.backup.start_copy_job(**params)["CopyJobId"]

    def look(self, job):
        return self.backup.describe_copy_job(CopyJobId=job)["CopyJob"]

    def points(self, region, vault):
        return self.estate.client("backup", region).list_recovery_points_by_backup_vault(BackupVaultName=vault)

    def test_a_copy_takes_its_looks_keeps_the_date_and_can_be_restored_where_it_is(self):
        job = self.start()
        self.assertEqual(self.start(), job)
        self.assertEqual(self.points("eu-north-1", "second-vault")["RecoveryPoints"], [])
        self.assertEqual([self.look(job)["State"] for _ in range(3)], ["CREATED", "RUNNING", "COMPLETED"])
        (made,) = self.points("eu-north-1", "second-vault")["RecoveryPoints"]
        self.assertEqual(made["RecoveryPointArn"], self.look(job)["DestinationRecoveryPointArn"])
        source = self.backup.describe_recovery_point(BackupVaultName="dr-vault", RecoveryPointArn=self.point)
        self.assertEqual(made["CreationDate"], source["CreationDate"])
        there = self.estate.client("backup", "eu-north-1")
        asked = {"RecoveryPointArn": made["RecoveryPointArn"], "IamRoleArn": "arn:aws:iam::1:role/backup"}
        restore = there.start_restore_job(Metadata={"targetTableName": "profiles-dr"}, **asked)["RestoreJobId"]
        self.assertEqual([there.describe_restore_job(RestoreJobId=restore)["Status"] for _ in range(3)][-1], "COMPLETED")
        with self.assertRaises(self.backup.exceptions.ResourceNotFoundException):
            there.describe_copy_job(CopyJobId=job)

    def test_jobs_are_listed_by_what_they_copy_and_since_when(self):
        job = self.start()
        self.assertNotEqual(self.start("t-2"), job)
        listed = self.backup.list_copy_jobs(ByResourceArn=self.estate.params["arn_profiles"])["CopyJobs"]
        self.assertEqual(len(listed), 2)
        self.assertEqual(self.backup.list_copy_jobs(ByResourceArn="arn:aws:x:y:z:none")["CopyJobs"], [])
        self.assertEqual(self.backup.list_copy_jobs(ByCreatedAfter=2**32)["CopyJobs"], [])

    def test_a_vault_that_is_missing_fails_the_job_and_another_account_takes_a_copy(self):
        job = self.start(DestinationBackupVaultArn=self.to + "-not")
        self.assertEqual([self.look(job)["State"] for _ in range(3)][-1], "FAILED")
        self.assertIn("does not exist", self.look(job)["StatusMessage"])
        other = Estate()
        job = self.start("t-2", DestinationBackupVaultArn=other.params["vault_second_arn"])
        self.assertEqual([self.look(job)["State"] for _ in range(3)][-1], "COMPLETED")
        there = other.client("backup", "eu-north-1")
        listed = there.list_recovery_points_by_backup_vault(BackupVaultName="second-vault")["RecoveryPoints"]
        self.assertEqual([each["RecoveryPointArn"] for each in listed], [self.look(job)["DestinationRecoveryPointArn"]])

    def test_what_cannot_be_copied_is_refused(self):
        home = self.to.replace("eu-north-1", "eu-central-1").replace("second-vault", "dr-vault")
        for code, more in (
            ("ResourceNotFoundException", {"RecoveryPointArn": self.point + "0"}),
            ("ResourceNotFoundException", {"SourceBackupVaultName": "nothing"}),
            ("InvalidRequestException", {"RecoveryPointArn": self.point.rsplit("-", 1)[0] + "-5"}),
            ("InvalidRequestException", {"DestinationBackupVaultArn": home}),
            ("InvalidParameterValueException", {"DestinationBackupVaultArn": "second-vault"}),
            ("InvalidParameterValueException", {"Lifecycle": {"MoveToColdStorageAfterDays": 1, "DeleteAfterDays": 9}}),
        ):
            self.refused(code, self.start, 400, **more)
        self.assertEqual(json.loads(self.estate.dump())["backup"]["copies"], [])

    def test_the_dump_shows_copies_without_their_ids(self):
        job = self.start(Lifecycle={"DeleteAfterDays": 35})
        [self.look(job) for _ in range(3)]
        (copied,) = json.loads(self.estate.dump(mask=True))["backup"]["copies"]
        self.assertEqual((copied["status"], copied["lifecycle"]), ("COMPLETED", {"DeleteAfterDays": 35}))
        self.assertNotIn(job, self.estate.dump(mask=True))


if __name__ == "__main__":
    unittest.main()
