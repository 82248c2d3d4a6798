"""Global tables: replicas that are added and removed one at a time."""

from .testing import PRIMARY, RECOVERY, Estate, LabTest


class GlobalTableTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.home = self.estate.client("dynamodb", PRIMARY)
        self.away = self.estate.client("dynamodb", RECOVERY)

    def change(self, name, verb, region=RECOVERY, there=None):
        there = there or self.home
        return there.update_table(TableName=name, ReplicaUpdates=[{verb: {"RegionName": region}}])["TableDescription"]

    def replicas(self, name, there=None):
        table = (there or self.home).describe_table(TableName=name)["Table"]
        return table["TableStatus"], {r["RegionName"]: r["ReplicaStatus"] for r in table.get("Replicas", [])}

    def test_what_a_global_table_says_of_itself(self):
        for there in (self.home, self.away):
            table = there.describe_table(TableName="catalog")["Table"]
            self.assertEqual(table["GlobalTableVersion"], "2019.11.21")
            self.assertEqual(table["MultiRegionConsistency"], "EVENTUAL")
            self.assertEqual(self.replicas("catalog", there)[1], {PRIMARY: "ACTIVE", RECOVERY: "ACTIVE"})
        self.assertNotIn("Replicas", self.home.describe_table(TableName="profiles")["Table"])
        self.assertEqual(self.away.describe_table(TableName="ledger")["Table"]["MultiRegionConsistency"], "STRONG")
        self.home.put_item(TableName="catalog", Item={"id": {"S": "new"}})
        self.assertIn("Item", self.away.get_item(TableName="catalog", Key={"id": {"S": "new"}}))

    def test_a_replica_is_added_in_its_own_time_and_removed_again(self):
        added = self.change("profiles", "Create")
        self.assertEqual(added["TableStatus"], "UPDATING")
        self.refused("ResourceInUseException", self.home.update_table, 400, TableName="profiles", BillingMode="PAY_PER_REQUEST")
        self.refused("ResourceNotFoundException", self.away.describe_table, 400, TableName="profiles")
        self.assertEqual(self.replicas("profiles", self.away), ("CREATING", {PRIMARY: "ACTIVE", RECOVERY: "CREATING"}))
        self.refused("ResourceNotFoundException", self.away.scan, 400, TableName="profiles")
        self.assertEqual(self.replicas("profiles"), ("ACTIVE", {PRIMARY: "ACTIVE", RECOVERY: "ACTIVE"}))
        self.assertEqual(self.away.scan(TableName="profiles")["Count"], 3)
        self.refused("ValidationException", self.change, 400, name="profiles", verb="Create")
        self.assertEqual(self.change("profiles", "Delete")["TableStatus"], "UPDATING")
        self.assertEqual(self.replicas("profiles", self.away)[0], "DELETING")
        self.assertEqual(self.replicas("profiles")[1], {PRIMARY: "ACTIVE", RECOVERY: "DELETING"})
        self.assertEqual(self.replicas("profiles"), ("ACTIVE", {}))
        self.refused("ResourceNotFoundException", self.away.describe_table, 400, TableName="profiles")

    def test_what_cannot_be_changed_is_refused(self):
        self.refused("ValidationException", self.change, 400, name="sessions", verb="Create")
        self.refused("ValidationException", self.change, 400, name="profiles", verb="Delete")
        self.refused("ValidationException", self.change, 400, name="ledger", verb="Create", region="eu-north-1")
        self.refused("ResourceNotFoundException", self.change, 400, name="nothing", verb="Create")
        self.home.update_table(TableName="profiles", StreamSpecification={"StreamEnabled": False})
        for _ in range(3):
            self.home.describe_table(TableName="profiles")
        self.refused("ValidationException", self.change, 400, name="profiles", verb="Create")

    def test_a_replica_can_fail(self):
        self.estate.admin("/seed", {"account": self.estate.name, "replica_rests": ["CREATION_FAILED"]})
        self.change("profiles", "Create")
        for _ in range(2):
            self.replicas("profiles")
        self.assertEqual(self.replicas("profiles"), ("ACTIVE", {PRIMARY: "ACTIVE", RECOVERY: "CREATION_FAILED"}))
        self.refused("ResourceNotFoundException", self.away.describe_table, 400, TableName="profiles")

    def test_a_replica_that_is_deleted_leaves_the_group(self):
        self.away.delete_table(TableName="catalog")
        self.assertEqual(self.replicas("catalog"), ("ACTIVE", {}))
