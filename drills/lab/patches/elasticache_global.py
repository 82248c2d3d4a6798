"""ElastiCache global datastores: which cache writes, and how that moves.

A move is asked for with the region and the group that are to write. It is not
seen at once, then the datastore is modifying, without a word of where it goes;
when the roles have changed the new primary itself is modifying for a while. The
old primary need not answer. (ElastiCache API reference,
FailoverGlobalReplicationGroup, DescribeGlobalReplicationGroups.)
"""

from . import operation, refuse

#: what the datastore says of itself while it moves: at first nothing of it
STAGES = ("available", "modifying")


class Datastore:
    """Groups by (region, name), of whom one writes."""

    def __init__(self, name, account, members, primary):
        self.name = name
        self.arn = f"arn:aws:elasticache::{account}:globalreplicationgroup:{name}"
        self.members = members
        self.primary = primary
        self.status = "available"
        self.moving = None

    def told(self, members):
        said = {
            "GlobalReplicationGroupId": self.name, "ARN": self.arn, "Status": self.status, "Engine": "redis",
            "EngineVersion": "7.1", "CacheNodeType": "cache.r7g.large", "ClusterEnabled": False,
        }  # fmt: skip
        if members:
            said["Members"] = [
                {
                    "ReplicationGroupId": name, "ReplicationGroupRegion": region, "Status": "associated",
                    "Role": "PRIMARY" if (region, name) == self.primary else "SECONDARY",
                    "AutomaticFailover": "enabled",
                }
                for region, name in self.members
            ]  # fmt: skip
        return said

    def state(self):
        moving = self.moving and "/".join(self.moving)
        return {"status": self.status, "primary": "/".join(self.primary), "moving": moving}


def find(call, name):
    """The datastore that is named, in a region where it has a member."""
    found = call.state.caches.globals.get(name)
    if found is None or call.region not in {region for region, _ in found.members}:
        refuse("GlobalReplicationGroupNotFoundFault", f"Global replication group {name} not found.", 404)
    return found


def moving(found):
    return ("cache-global", found.name)


@operation("elasticache", "DescribeGlobalReplicationGroups")
def describe(call):
    wanted = call.params.get("GlobalReplicationGroupId")
    here = [each for each in call.state.caches.globals.values() if call.region in {r for r, _ in each.members}]
    found = [find(call, wanted)] if wanted else here
    for each in found:
        progress = call.state.under_way.get(moving(each))
        if progress is not None:
            each.status = progress.stage()
            call.state.look(moving(each))
    members = call.params.get("ShowMemberInfo")
    return {"GlobalReplicationGroups": [each.told(members) for each in found]}


@operation("elasticache", "FailoverGlobalReplicationGroup")
def failover(call):
    found = find(call, call.params["GlobalReplicationGroupId"])
    wanted = (call.params["PrimaryRegion"], call.params["PrimaryReplicationGroupId"].lower())
    if wanted not in found.members:
        refuse("InvalidParameterValue", f"Replication group {wanted[1]} in {wanted[0]} is no member of {found.name}.")
    if found.status != "available" or moving(found) in call.state.under_way:
        words = f"Global replication group {found.name} is not in available state."
        refuse("InvalidGlobalReplicationGroupState", words)
    if wanted == found.primary:
        refuse("InvalidParameterValue", f"Replication group {wanted[1]} is the primary of {found.name} already.")

    def finish():
        found.primary, found.status, found.moving = wanted, "available", None
        group = call.state.caches.groups[wanted]
        group["status"] = "modifying"
        call.state.begin(("cache", *wanted), lambda: group.update(status="available"))

    found.moving = wanted
    call.state.begin(moving(found), finish, STAGES, looks=call.state.looks + 1)
    return {"GlobalReplicationGroup": found.told(True) | {"Status": "modifying"}}
