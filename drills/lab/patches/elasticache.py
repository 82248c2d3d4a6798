"""ElastiCache replication groups, made empty, from snapshots or from files in S3, in their own time.

moto makes them at once and from snapshots that are not there. Here everything
is kept in the account's own state (`call.state.caches`), and what AWS asks
before it makes anything is asked (API reference, CreateReplicationGroup).
Tags cannot be listed while a group is being made.
"""

import re
from datetime import datetime, timedelta, timezone

from . import operation, refuse
from .s3_rules import current, store

NAME = re.compile(r"[a-z](?!.*--)[a-z0-9-]{0,38}[a-z0-9]|[a-z]")
ENGINES = ("redis", "valkey")


def key(call, name):
    return (call.region, name.lower())


def group_of(call, name):
    found = call.state.caches.groups.get(key(call, name))
    if found is None:
        refuse("ReplicationGroupNotFoundFault", f"ReplicationGroup {name} not found.", 404)
    return found


def arn(call, kind, name):
    return f"arn:aws:elasticache:{call.region}:{call.account}:{kind}:{name}"


def combination(words):
    refuse("InvalidParameterCombination", words)


def invalid(words):
    refuse("InvalidParameterValue", words)


def check(call, params):
    """What is refused before anything is made; gives what it is made from."""
    caches, name = call.state.caches, params["ReplicationGroupId"].lower()
    if not NAME.fullmatch(name):
        invalid("The parameter ReplicationGroupId is not a valid identifier.")
    if key(call, name) in caches.groups:
        refuse("ReplicationGroupAlreadyExists", f"Replication group {name} already exists.")
    if params.get("SnapshotName") and params.get("SnapshotArns"):
        combination("SnapshotName and SnapshotArns cannot both be given.")
    snapshot = source(call, params, name)
    if not snapshot and not (params.get("CacheNodeType") and params.get("Engine")):
        combination("CacheNodeType and Engine are required.")
    if params.get("Engine") and params["Engine"] not in ENGINES:
        invalid(f"Engine {params['Engine']} is not supported.")
    if (call.region, params.get("CacheSubnetGroupName") or "default") not in caches.subnet_groups:
        refuse("CacheSubnetGroupNotFoundFault", f"Cache Subnet Group {params.get('CacheSubnetGroupName')} does not exist.")
    if (call.region, params.get("CacheParameterGroupName")) not in caches.parameter_groups:
        refuse("CacheParameterGroupNotFound", f"CacheParameterGroup {params.get('CacheParameterGroupName')} not found.", 404)
    shards = params.get("NumNodeGroups") or 1
    if snapshot and snapshot["NumNodeGroups"] != shards:
        invalid(f"The snapshot has {snapshot['NumNodeGroups']} node groups, and {shards} are asked for.")
    if params.get("AutomaticFailoverEnabled") and not params.get("ReplicasPerNodeGroup"):
        invalid("Automatic failover needs at least one replica.")
    if params.get("UserGroupIds") and not params.get("TransitEncryptionEnabled"):
        combination("User groups need encryption in transit.")
    return name, snapshot


def source(call, params, name):
    """The snapshot that a group is made from, with its files looked at; None where it begins empty."""
    for file in params.get("SnapshotArns") or []:
        bucket, _, path = file.split(":::")[-1].partition("/")
        found = store(call).buckets.get(bucket)
        if found is None or current(found, path) is None:
            invalid(f"Unable to fetch metadata from S3 for {name}: {file}")
    if not params.get("SnapshotName"):
        return None
    snapshot = call.state.caches.snapshots.get(key(call, params["SnapshotName"]))
    if snapshot is None:
        refuse("SnapshotNotFoundFault", f"Snapshot {params['SnapshotName']} not found.", 404)
    if snapshot["SnapshotStatus"] != "available":
        invalid(f"The snapshot {params['SnapshotName']} is {snapshot['SnapshotStatus']}.")
    return snapshot


@operation("elasticache", "CreateReplicationGroup")
def create(call):
    params = call.params
    name, snapshot = check(call, params)
    rest = call.state.cache_rest()
    group = {
        "asked": {k: v for k, v in params.items() if k not in ("Tags", "ReplicationGroupId") and v is not None},
        "status": "creating", "arn": arn(call, "replicationgroup", name), "made": datetime.now(timezone.utc),
        "tags": {tag["Key"]: tag.get("Value") for tag in params.get("Tags") or []},
        "type": params.get("CacheNodeType") or snapshot["CacheNodeType"],
        "keys": snapshot["keys"] if snapshot else len(params.get("SnapshotArns") or []) * 7,
    }  # fmt: skip
    call.state.caches.groups[key(call, name)] = group
    if snapshot:
        snapshot["SnapshotStatus"] = "restoring"

    def finish():
        group["status"] = rest
        if snapshot:
            snapshot["SnapshotStatus"] = "available"

    call.state.begin(("cache", *key(call, name)), finish)
    return {"ReplicationGroup": shown(name, group)}


def shown(name, group):
    asked = group["asked"]
    shards = asked.get("NumNodeGroups") or 1
    host = f"{name}.{group['arn'].split(':')[3]}.cache.amazonaws.com"
    nodes_of_one = [{"CacheNodeId": f"{n:04d}"} for n in range(1, (asked.get("ReplicasPerNodeGroup") or 0) + 2)]
    nodes = [
        {"NodeGroupId": f"{n:04d}", "Status": group["status"], "NodeGroupMembers": nodes_of_one}
        for n in range(1, shards + 1)
    ]
    result = {
        "ReplicationGroupId": name, "Description": asked["ReplicationGroupDescription"], "Status": group["status"],
        "ARN": group["arn"], "CacheNodeType": group["type"], "ClusterEnabled": shards > 1, "NodeGroups": nodes,
        "TransitEncryptionEnabled": bool(asked.get("TransitEncryptionEnabled")),
        "AutomaticFailover": "enabled" if asked.get("AutomaticFailoverEnabled") else "disabled",
        "MultiAZ": "enabled" if asked.get("MultiAZEnabled") else "disabled",
        "UserGroupIds": list(asked.get("UserGroupIds") or []), "ReplicationGroupCreateTime": group["made"],
        "PendingModifiedValues": {}, "MemberClusters": members(name, shards, asked.get("ReplicasPerNodeGroup") or 0),
    }  # fmt: skip
    if group["status"] == "available":
        if shards > 1:
            result["ConfigurationEndpoint"] = {"Address": f"clustercfg.{host}", "Port": 6379}
        else:
            nodes[0] |= {
                "PrimaryEndpoint": {"Address": f"master.{host}", "Port": 6379},
                "ReaderEndpoint": {"Address": f"replica.{host}", "Port": 6379},
            }
    return result


def members(name, shards, replicas):
    """The nodes of a group, as AWS names them."""
    heads = [name] if shards == 1 else [f"{name}-{shard:04d}" for shard in range(1, shards + 1)]
    return [f"{head}-{node:03d}" for head in heads for node in range(1, replicas + 2)]


@operation("elasticache", "DescribeReplicationGroups")
def describe(call):
    wanted = call.params.get("ReplicationGroupId")
    if wanted:
        call.state.look(("cache", *key(call, wanted)))
        group_of(call, wanted)
    found = [
        shown(name, group) for (region, name), group in sorted(call.state.caches.groups.items())
        if region == call.region and wanted in (None, name)
    ]  # fmt: skip
    return {"ReplicationGroups": found}


@operation("elasticache", "DeleteReplicationGroup")
def delete(call):
    name = call.params["ReplicationGroupId"].lower()
    group = group_of(call, name)
    if group["status"] not in ("available", "create-failed"):
        words = f"Replication group {name} has status {group['status']} which is not valid for deletion."
        refuse("InvalidReplicationGroupState", words)
    if any((call.region, name) in each.members for each in call.state.caches.globals.values()):
        refuse("InvalidReplicationGroupState", f"Replication group {name} is part of a global datastore.")
    group["status"] = "deleting"
    call.state.begin(("cache", *key(call, name)), lambda: call.state.caches.groups.pop(key(call, name), None))
    return {"ReplicationGroup": shown(name, group)}


@operation("elasticache", "ListTagsForResource")
def tags(call):
    group = group_of(call, call.params["ResourceName"].split(":")[-1])
    if group["status"] in ("creating", "deleting"):
        refuse("InvalidReplicationGroupState", f"The replication group is {group['status']}.")
    return {"TagList": [{"Key": k, "Value": v} for k, v in sorted(group["tags"].items())]}


@operation("elasticache", "DescribeSnapshots")
def snapshots(call):
    params, caches = call.params, call.state.caches
    if params.get("SnapshotName") and key(call, params["SnapshotName"]) not in caches.snapshots:
        refuse("SnapshotNotFoundFault", f"Snapshot {params['SnapshotName']} not found.", 404)
    found = [
        {k: v for k, v in snapshot.items() if k != "keys"}
        for (region, name), snapshot in sorted(caches.snapshots.items())
        if region == call.region
        and params.get("SnapshotName") in (None, name)
        and params.get("ReplicationGroupId") in (None, snapshot["ReplicationGroupId"])
    ]
    start, most = int(params.get("Marker") or 0), params.get("MaxRecords") or 50
    result = {"Snapshots": found[start : start + most]}
    if start + most < len(found):
        result["Marker"] = str(start + most)
    return result


def plant(account, region, source, name, minutes, status="available", shards=1):
    """A snapshot whose shards were saved one after the other, the last so many minutes ago."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    account.caches.snapshots[(region, name)] = {
        "SnapshotName": name, "ReplicationGroupId": source, "SnapshotStatus": status, "SnapshotSource": "manual",
        "CacheNodeType": "cache.r7g.large", "Engine": "redis", "EngineVersion": "7.1", "NumNodeGroups": shards,
        "ARN": f"arn:aws:elasticache:{region}:{account.name}:snapshot:{name}", "keys": 20,
        "NodeSnapshots": [
            {"NodeGroupId": f"{n:04d}", "CacheSize": "1 MB", "SnapshotCreateTime": now - timedelta(minutes=minutes + n)}
            for n in range(shards)
        ],
    }  # fmt: skip


def state(account):
    """Groups and snapshots of every region as plain data."""
    caches = account.caches
    return {
        "groups": {
            f"{region}/{name}": {"asked": g["asked"], "status": g["status"], "tags": g["tags"], "keys": g["keys"]}
            for (region, name), g in caches.groups.items()
        },
        "snapshots": {f"{r}/{n}": s["SnapshotStatus"] for (r, n), s in caches.snapshots.items()},
        "globals": {name: each.state() for name, each in caches.globals.items()},
    }  # fmt: skip
