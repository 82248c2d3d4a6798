"""Lists, region by region and page by page."""

import unittest

from botocore.exceptions import ParamValidationError

from .testing import Estate, LabTest


class ListsTest(LabTest):
    def setUp(self):
        self.estate = Estate()

    def all(self, name, ask, most):
        found, pages, more = [], 0, {}
        while True:
            reply = ask(MaxResults=most, **more)
            found, pages = found + reply[name], pages + 1
            if "NextToken" not in reply:
                return found, pages
            more = {"NextToken": reply["NextToken"]}

    def test_vaults_are_those_of_the_region(self):
        found, _ = self.all("BackupVaultList", self.estate.client("backup").list_backup_vaults, 1)
        self.assertIn("dr-vault", [each["BackupVaultName"] for each in found])
        self.assertTrue(all(":eu-central-1:" in each["BackupVaultArn"] for each in found))
        elsewhere = self.estate.client("backup", "sa-east-1").list_backup_vaults()
        self.assertEqual(elsewhere["BackupVaultList"], [])

    def test_pools_come_by_pages_and_how_many_has_to_be_said(self):
        cognito = self.estate.client("cognito-idp")
        found, pages = self.all("UserPools", cognito.list_user_pools, 1)
        self.assertIn(self.estate.params["pool_standby"], [each["Id"] for each in found])
        self.assertEqual(pages, max(1, len(found)))
        with self.assertRaises(ParamValidationError):
            cognito.list_user_pools()


if __name__ == "__main__":
    unittest.main()
