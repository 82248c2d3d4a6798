"""The seed's global datastore, where one is asked for: a cache that writes, and one that follows."""

from datetime import datetime, timezone

from .patches import cloudwatch
from .patches.elasticache_global import Datastore

NAME, GROUP = "ldgnf-sessions", "sessions"
#: seconds behind, minute by minute, the newest last
LAGS = (0.4, 0.3, 6.0, 0.5, 0.25)


def datastore(account, primary, recovery):
    """`sessions-<region>` in both regions, written in the primary one."""
    members = [(region, f"{GROUP}-{region}") for region in (primary, recovery)]
    for region, name in members:
        account.caches.groups[(region, name)] = {
            "asked": {"ReplicationGroupDescription": "sessions", "Engine": "redis", "ReplicasPerNodeGroup": 1,
                      "AutomaticFailoverEnabled": True, "MultiAZEnabled": True},
            "status": "available", "made": datetime.now(timezone.utc), "tags": {}, "type": "cache.r7g.large",
            "arn": f"arn:aws:elasticache:{region}:{account.name}:replicationgroup:{name}", "keys": 20,
        }  # fmt: skip
    account.caches.globals[NAME] = Datastore(NAME, account.name, members, members[0])
    # Of other datastores' caches, and of what is ours: who takes the first takes a wrong one.
    for node, values in (("carts-001", (900.0,)), ("users-001", (800.0,)), (f"{members[1][1]}-001", LAGS)):
        cloudwatch.measured(
            account.name, recovery, "AWS/ElastiCache", "GlobalDatastoreReplicationLag",
            {"CacheClusterId": node}, values,
        )  # fmt: skip
    return {"cache_global": NAME, "cache_global_target": members[1][1], "cache_global_primary": members[0][1]}
