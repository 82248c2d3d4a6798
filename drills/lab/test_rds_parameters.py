"""RDS: parameters that take effect, and instances that restart."""

from .testing import Estate, LabTest


class ParametersTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.rds = self.estate.client("rds")
        group = {"DBParameterGroupName": "ledger", "DBParameterGroupFamily": "mysql8.0", "Description": "x"}
        self.rds.create_db_parameter_group(**group)
        self.rds.create_db_instance(
            DBInstanceIdentifier="ledger", DBInstanceClass="db.r6g.large", Engine="mysql",
            EngineVersion="8.0.36", AllocatedStorage=20, MasterUsername="lab",
            MasterUserPassword="not-a-secret", DBParameterGroupName="ledger",
        )  # fmt: skip
        for _ in range(3):
            self.look()

    def look(self):
        return self.rds.describe_db_instances(DBInstanceIdentifier="ledger")["DBInstances"][0]

    def set(self, value, group="ledger", name="read_only"):
        parameter = {"ParameterName": name, "ParameterValue": value, "ApplyMethod": "immediate"}
        return self.rds.modify_db_parameter_group(DBParameterGroupName=group, Parameters=[parameter])

    def values(self, **more):
        found = self.rds.describe_db_parameters(DBParameterGroupName="ledger", **more)["Parameters"]
        return {each["ParameterName"]: (each["ParameterValue"], each["Source"]) for each in found}

    def test_a_parameter_is_applied_after_two_looks_and_can_be_reset(self):
        self.assertEqual(self.values(), {"read_only": ("{TrueIfReplica}", "engine-default")})
        self.assertEqual(self.values(Source="user"), {})
        self.set("1")
        self.assertEqual(self.values(Source="user"), {"read_only": ("1", "user")})
        seen = [self.look()["DBParameterGroups"][0]["ParameterApplyStatus"] for _ in range(3)]
        self.assertEqual(seen, ["applying", "applying", "in-sync"])
        parameter = {"ParameterName": "read_only", "ApplyMethod": "immediate"}
        self.rds.reset_db_parameter_group(DBParameterGroupName="ledger", Parameters=[parameter])
        self.assertEqual(self.values(Source="user"), {})
        self.assertEqual(self.look()["DBParameterGroups"][0]["ParameterApplyStatus"], "applying")

    def test_what_cannot_be_set_is_refused(self):
        self.refused("InvalidParameterValue", self.set, 400, value="2")
        self.refused("InvalidParameterValue", self.set, 400, value="1", name="no_such_thing")
        self.refused("DBParameterGroupNotFound", self.set, 404, value="1", group="nothing")
        # PostgreSQL has no such parameter.
        self.refused("InvalidParameterValue", self.set, 400, value="1", group="dr-pg15")

    def test_an_instance_restarts_for_two_looks_and_only_out_of_available(self):
        reboot = self.rds.reboot_db_instance
        self.assertEqual(reboot(DBInstanceIdentifier="ledger")["DBInstance"]["DBInstanceStatus"], "rebooting")
        self.refused("InvalidDBInstanceState", reboot, 400, DBInstanceIdentifier="ledger")
        seen = [self.look()["DBInstanceStatus"] for _ in range(3)]
        self.assertEqual(seen, ["rebooting", "rebooting", "available"])
        self.refused("DBInstanceNotFound", reboot, 404, DBInstanceIdentifier="nothing")
