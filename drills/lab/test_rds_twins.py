"""RDS: databases of one name in two regions, and what their backups say of which they are."""

from .testing import PRIMARY, RECOVERY, Estate, LabTest


class TwinsTest(LabTest):
    @classmethod
    def setUpClass(cls):
        cls.estate = Estate(twins=True, aurora=True)
        cls.rds = cls.estate.client("rds")

    def snapshot(self, name, rds=None):
        return (rds or self.rds).describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]

    def test_snapshots_of_both_lie_in_one_region_and_say_where_their_database_ran(self):
        found = self.rds.describe_db_snapshots(DBInstanceIdentifier="orders")["DBSnapshots"]
        self.assertEqual({each["SourceRegion"] for each in found}, {PRIMARY, RECOVERY})
        twin, copied = self.snapshot("orders-twin"), self.snapshot("orders-2026-a10")
        self.assertEqual((twin["DbiResourceId"], twin["SourceRegion"]), (self.estate.params["twin_orders"], RECOVERY))
        self.assertNotIn("SourceDBSnapshotIdentifier", twin)
        self.assertNotEqual(copied["DbiResourceId"], twin["DbiResourceId"])
        self.assertTrue(copied["SourceDBSnapshotIdentifier"].startswith(f"arn:aws:rds:{PRIMARY}:"))

    def test_a_copy_says_where_it_came_from_and_keeps_the_id_of_its_database(self):
        home = self.snapshot("orders-2026-h05", self.estate.client("rds", PRIMARY))
        self.assertEqual(home["SourceRegion"], PRIMARY)
        far = self.rds.copy_db_snapshot(
            SourceDBSnapshotIdentifier=home["DBSnapshotArn"], TargetDBSnapshotIdentifier="far", SourceRegion=PRIMARY
        )["DBSnapshot"]
        self.assertEqual((far["SourceRegion"], far["SourceDBSnapshotIdentifier"]), (PRIMARY, home["DBSnapshotArn"]))
        self.assertEqual(far["DbiResourceId"], home["DbiResourceId"])
        near = self.rds.copy_db_snapshot(
            SourceDBSnapshotIdentifier="orders-2026-a10", TargetDBSnapshotIdentifier="near"
        )["DBSnapshot"]
        self.assertEqual((near["SourceRegion"], "SourceDBSnapshotIdentifier" in near), (RECOVERY, False))
        self.assertEqual(near["DbiResourceId"], home["DbiResourceId"])

    def test_automated_backups_of_both_are_found_by_the_one_name(self):
        by = [{"Name": "db-instance-id", "Values": ["orders"]}]
        found = self.rds.describe_db_instance_automated_backups(Filters=by)["DBInstanceAutomatedBackups"]
        self.assertEqual(sorted(each["Region"] for each in found), [RECOVERY, PRIMARY])
        (own,) = [each for each in found if each["Region"] == RECOVERY]
        self.assertEqual(own["DbiResourceId"], self.estate.params["twin_orders"])
        self.assertNotIn("DBInstanceAutomatedBackupsArn", own)

    def test_snapshots_of_clusters_say_it_by_id_and_by_what_they_were_copied_from(self):
        found = self.rds.describe_db_cluster_snapshots(DBClusterIdentifier=f"ledger-{PRIMARY}")["DBClusterSnapshots"]
        ids = {each["DBClusterSnapshotIdentifier"]: each["DbClusterResourceId"] for each in found}
        self.assertEqual(sorted(ids), ["ledger-2026-copy", "ledger-twin"])
        self.assertEqual(len(set(ids.values())), 2)
