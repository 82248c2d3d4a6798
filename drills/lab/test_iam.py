"""IAM: roles of two regions, and what the simulator says of them."""

import json
import unittest

from .testing import Estate, LabTest

ROLE = "orders-eu-central-1"


class IamTest(LabTest):
    def setUp(self):
        self.estate = Estate(iam=True)
        self.iam = self.estate.client("iam")
        self.arn = self.iam.get_role(RoleName=ROLE)["Role"]["Arn"]

    def simulate(self, actions, *resources, arn=None):
        asked = {"PolicySourceArn": arn or self.arn, "ActionNames": actions}
        more = {"ResourceArns": list(resources)} if resources else {}
        return self.iam.simulate_principal_policy(**asked, **more)["EvaluationResults"]

    def test_a_role_has_policies_of_three_ways_and_a_boundary(self):
        self.assertEqual(self.iam.list_role_policies(RoleName=ROLE)["PolicyNames"], ["objects-eu-central-1"])
        attached = self.iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]
        self.assertEqual({each["PolicyName"] for each in attached}, {"orders-logs", "queues-eu-central-1"})
        boundary = self.iam.get_role(RoleName=ROLE)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"]
        self.assertTrue(boundary.endswith("policy/orders-boundary"))

    def test_the_simulator_reads_the_policies_of_the_role(self):
        bucket = f"arn:aws:s3:::{self.estate.name}-orders-eu-central-1"
        (get,) = self.simulate(["S3:GetObject"], f"{bucket}/a", f"{bucket}x/a")
        said = {each["EvalResourceName"]: each["EvalResourceDecision"] for each in get["ResourceSpecificResults"]}
        self.assertEqual(said, {f"{bucket}/a": "allowed", f"{bucket}x/a": "implicitDeny"})
        self.assertEqual(get["EvalDecision"], "implicitDeny")
        logs, purge, tables = self.simulate(["logs:PutLogEvents", "sqs:PurgeQueue", "dynamodb:GetItem"])
        self.assertEqual((logs["EvalDecision"], logs["MissingContextValues"]), ("allowed", []))
        self.assertEqual((purge["EvalDecision"], purge["MissingContextValues"]), ("implicitDeny", ["aws:MultiFactorAuthPresent"]))
        self.assertEqual(tables["EvalDecision"], "implicitDeny")

    def test_a_denial_goes_before_and_a_boundary_around(self):
        statement = [
            {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*"},
            {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        ]
        more = json.dumps({"Version": "2012-10-17", "Statement": statement})
        self.iam.put_role_policy(RoleName=ROLE, PolicyName="more", PolicyDocument=more)
        put, tables = self.simulate(["s3:PutObject", "dynamodb:GetItem"])
        self.assertEqual(put["EvalDecision"], "explicitDeny")
        self.assertEqual(tables["EvalDecision"], "implicitDeny")
        self.assertFalse(tables["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"])

    def test_what_is_not_there_is_refused_and_who_is_no_role_may_do_all(self):
        self.refused("NoSuchEntity", self.simulate, 404, actions=["s3:GetObject"], arn=self.arn + "x")
        self.refused("InvalidInput", self.simulate, 400, actions=["s3get"])
        user = f"arn:aws:iam::{self.estate.name}:user/lab"
        self.assertEqual([each["EvalDecision"] for each in self.simulate(["s3:GetObject"], arn=user)], ["allowed"])


if __name__ == "__main__":
    unittest.main()
