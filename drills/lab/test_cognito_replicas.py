"""Replicas of user pools: made from the primary, activated from either region."""

import json
import unittest

from .testing import PRIMARY, RECOVERY, Estate, LabTest


class ReplicaTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.home, self.away = self.estate.client("cognito-idp", PRIMARY), self.estate.client("cognito-idp")
        self.pool = self.estate.params["pool"]

    def replicas(self, client, pool=None):
        found, more = {}, {}
        while True:
            reply = client.list_user_pool_replicas(UserPoolId=pool or self.pool, **more)
            found |= {r["RegionName"]: (r["Role"], r["Status"]) for r in reply["UserPoolReplicas"]}
            if "NextToken" not in reply:
                return found
            more = {"NextToken": reply["NextToken"]}

    def change(self, client, status):
        client.update_user_pool_replica(UserPoolId=self.pool, RegionName=RECOVERY, Status=status)

    def test_a_replica_is_activated_where_the_primary_is_gone_and_seen_so_after_its_looks(self):
        self.estate.region(PRIMARY, "down")
        self.assertEqual(self.replicas(self.away), {PRIMARY: ("PRIMARY", "ACTIVE"), RECOVERY: ("SECONDARY", "INACTIVE")})
        self.change(self.away, "ACTIVE")
        self.change(self.away, "ACTIVE")
        seen = [self.replicas(self.away)[RECOVERY][1] for _ in range(3)]
        self.assertEqual(seen, ["INACTIVE", "INACTIVE", "ACTIVE"])
        self.assertEqual(json.loads(self.estate.dump())["cognito"]["replicas"]["shop"][RECOVERY], "SECONDARY ACTIVE")
        arn = self.away.list_user_pool_replicas(UserPoolId=self.pool, NextToken="1")["UserPoolReplicas"][0]["UserPoolArn"]
        self.assertEqual(arn, f"arn:aws:cognito-idp:{RECOVERY}:{self.estate.name}:userpool/{self.pool}")

    def test_only_the_primary_makes_and_deletes_and_a_secondary_takes_no_users(self):
        who = {"UserPoolId": self.pool, "RegionName": RECOVERY}
        self.refused("OperationNotEnabledException", self.away.delete_user_pool_replica, **who)
        self.refused("LimitExceededException", self.home.create_user_pool_replica, UserPoolId=self.pool, RegionName="eu-west-3")
        role = "arn:aws:iam::111122223333:role/import"
        job = {"JobName": "one", "UserPoolId": self.pool, "CloudWatchLogsRoleArn": role}
        self.refused("OperationNotEnabledException", self.away.create_user_import_job, **job)
        self.change(self.home, "ACTIVE")
        [self.replicas(self.home) for _ in range(3)]
        self.refused("InvalidParameterException", self.home.delete_user_pool_replica, **who)
        self.change(self.home, "INACTIVE")
        [self.replicas(self.home) for _ in range(3)]
        self.home.delete_user_pool_replica(**who)
        self.assertEqual([self.replicas(self.home) for _ in range(3)][2], {})
        self.refused("ResourceNotFoundException", self.away.list_user_pool_replicas, UserPoolId=self.pool)
        self.refused("ResourceNotFoundException", self.home.update_user_pool_replica, **who, Status="ACTIVE")
        self.home.create_user_pool_replica(**who)
        self.refused("InvalidParameterException", self.home.update_user_pool_replica, **who, Status="ACTIVE")
        self.assertEqual([self.replicas(self.home)[RECOVERY][1] for _ in range(3)], ["CREATING", "CREATING", "INACTIVE"])


if __name__ == "__main__":
    unittest.main()
