"""The seed's caches: where one can be made, and what it can be made from."""

from .patches import elasticache


def caches(account, recovery):
    """Snapshots of `sessions-cache` (one shard) and `carts-cache` (two) in the recovery region."""
    account.caches.subnet_groups.add((recovery, "dr-cache"))
    account.caches.parameter_groups |= {(recovery, "dr-redis7"), (recovery, "dr-redis7-cluster")}
    for label, minutes in (("a10", 10), ("b70", 70)):
        elasticache.plant(account, recovery, "sessions-cache", f"sessions-cache-2026-{label}", minutes)
    elasticache.plant(account, recovery, "sessions-cache", "sessions-cache-2026-d00", 0, "creating")
    elasticache.plant(account, recovery, "carts-cache", "carts-cache-2026-a30", 30, shards=2)
    return {"cache_subnet_group": "dr-cache", "cache_parameter_group": "dr-redis7", "cache_sessions": "sessions-cache"}
