"""ElastiCache global datastores: a primary that moves, also without the old one."""

import unittest

from .testing import PRIMARY, RECOVERY, Estate, LabTest

NAME, OLD, NEW = "ldgnf-sessions", "sessions-eu-west-1", "sessions-eu-central-1"


class GlobalCacheTest(LabTest):
    def setUp(self):
        self.estate = Estate(cache_global=True)
        self.cache = self.estate.client("elasticache")
        self.home = self.estate.client("elasticache", PRIMARY)

    def look(self, client=None):
        asked = {"GlobalReplicationGroupId": NAME, "ShowMemberInfo": True}
        return (client or self.cache).describe_global_replication_groups(**asked)["GlobalReplicationGroups"][0]

    def primary(self):
        return [m["ReplicationGroupId"] for m in self.look()["Members"] if m["Role"] == "PRIMARY"]

    def failover(self, client=None, **more):
        asked = {"GlobalReplicationGroupId": NAME, "PrimaryRegion": RECOVERY, "PrimaryReplicationGroupId": NEW}
        return (client or self.cache).failover_global_replication_group(**asked | more)["GlobalReplicationGroup"]

    def group(self, name=NEW):
        return self.cache.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0]

    def test_the_primary_moves_though_the_old_one_is_lost_and_goes_back(self):
        self.assertEqual(self.primary(), [OLD])
        self.estate.region(PRIMARY, "down")
        self.assertEqual(self.failover()["Status"], "modifying")
        self.refused("InvalidGlobalReplicationGroupState", self.failover, 400)
        writes = [call["effect"] for call in self.estate.calls() if call["rw"] == "write"]
        self.assertEqual(writes, ["changed", "none"])
        self.assertEqual([self.look()["Status"] for _ in range(4)], ["available", "available", "modifying", "available"])
        self.assertEqual(self.primary(), [NEW])
        self.assertEqual([self.group()["Status"] for _ in range(3)], ["modifying", "modifying", "available"])
        self.estate.region(PRIMARY, "up")
        self.failover(self.home, PrimaryRegion=PRIMARY, PrimaryReplicationGroupId=OLD)
        [self.look() for _ in range(4)]
        self.assertEqual(self.primary(), [OLD])

    def test_members_are_told_where_they_are_asked_for_and_nodes_have_names(self):
        told = self.cache.describe_global_replication_groups()["GlobalReplicationGroups"][0]
        self.assertEqual(told.get("Members") or [], [])
        self.assertEqual(self.group()["MemberClusters"], [f"{NEW}-001", f"{NEW}-002"])
        self.refused("InvalidReplicationGroupState", self.cache.delete_replication_group, 400, ReplicationGroupId=NEW)

    def test_what_cannot_be_moved_is_refused(self):
        missing = "GlobalReplicationGroupNotFoundFault"
        self.refused(missing, self.failover, 404, GlobalReplicationGroupId="nothing")
        self.refused(missing, self.look, 404, client=self.estate.client("elasticache", "eu-north-1"))
        self.refused("InvalidParameterValue", self.failover, 400, PrimaryReplicationGroupId="carts")
        already = {"PrimaryRegion": PRIMARY, "PrimaryReplicationGroupId": OLD}
        self.refused("InvalidParameterValue", self.failover, 400, **already)

    def test_cloudwatch_lists_what_was_measured_by_pages(self):
        pages = self.estate.client("cloudwatch").get_paginator("list_metrics").paginate(
            Namespace="AWS/ElastiCache", MetricName="GlobalDatastoreReplicationLag"
        )  # fmt: skip
        pages = [page["Metrics"] for page in pages]
        self.assertEqual([len(page) for page in pages], [2, 1])
        self.assertEqual(pages[1][0]["Dimensions"], [{"Name": "CacheClusterId", "Value": f"{NEW}-001"}])
        mine = self.estate.client("cloudwatch").list_metrics(Dimensions=[{"Name": "CacheClusterId", "Value": "carts-001"}])
        self.assertEqual(len(mine["Metrics"]), 1)


if __name__ == "__main__":
    unittest.main()
