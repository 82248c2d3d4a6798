"""Global tables of version 2019.11.21: replicas that are added and removed one at a time.

moto answers and makes nothing. Here the tables of a group share their items,
so replication has no lag; what a change is doing stands in the group, and a
look at the table in whichever region is a look at the change. A replica that
is being made is not seen in its own region at the first look.

`replica_rests` of the seed names the statuses in which new replicas come to
rest: one that failed is known to the others and has no table.
"""

import uuid

from moto.dynamodb.models.table import Table

from .. import bridge
from . import dynamodb, operation, refuse
from .dynamodb import described, must_be_active, short, status_of, store, table_of

VERSION = "2019.11.21"
_describe = Table.describe


class Group:
    """The replicas of one table, region by region, each with its status."""

    def __init__(self, regions, consistency="EVENTUAL"):
        self.consistency = consistency
        self.members = dict.fromkeys(regions, "ACTIVE")


def group_of(table):
    return table.__dict__.get("lab_group") if table else None


def describe_table(self, base_key="TableDescription"):
    result = _describe(self, base_key)
    group = group_of(self)
    if group:
        result[base_key] |= {
            "GlobalTableVersion": VERSION, "MultiRegionConsistency": group.consistency,
            "Replicas": [
                {"RegionName": region, "ReplicaStatus": status} for region, status in sorted(group.members.items())
            ],
        }  # fmt: skip
    return result


Table.describe = describe_table


def key(name):
    return ("replicas", name)


@operation("dynamodb", "DescribeTable")
def describe(call):
    name = short(call.params["TableName"])
    call.state.look(key(name))
    table, change = store(call).tables.get(name), call.state.under_way.get(key(name))
    if group_of(table) and change and status_of(table) == "CREATING" and change.seen < 2:
        refuse("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
    return dynamodb.describe(call)


@operation("dynamodb", "UpdateTable")
def update(call):
    changes = call.params.get("ReplicaUpdates")
    if not changes:
        return dynamodb.update(call)
    table = table_of(call)
    must_be_active(table)
    asked = [(verb, what) for change in changes for verb, what in change.items() if what]
    if len(asked) != 1:
        refuse("ValidationException", "One and only one replica can be created, updated or deleted at a time")
    verb, what = asked[0]
    if (group_of(table) or Group([])).consistency == "STRONG":
        refuse("ValidationException", "Replicas of a table with multi-Region strong consistency cannot be changed so")
    if verb == "Create":
        add(call, table, what["RegionName"])
    elif verb == "Delete":
        remove(call, table, what["RegionName"])
    else:
        refuse("NotImplemented", f"the lab changes no replica: {verb}", 501)
    return {"TableDescription": described(table)}


def add(call, table, region):
    group = group_of(table) or Group([call.region])
    there = bridge.backend("dynamodb", call.account, region)
    if region in group.members or table.name in there.tables:
        words = f"Failed to create a the new replica of table with name: '{table.name}' because one or more replicas already existed as tables."
        refuse("ValidationException", words)
    stream = table.stream_specification or {}
    if not stream.get("StreamEnabled") or stream.get("StreamViewType") != "NEW_AND_OLD_IMAGES":
        refuse("ValidationException", "Streams must be enabled with NEW_AND_OLD_IMAGES to add a replica")
    replica = plant(there, table)
    replica.lab_id, replica.lab_status, table.lab_status = str(uuid.uuid4()), "CREATING", "UPDATING"
    table.lab_group = replica.lab_group = group
    group.members[region] = "CREATING"
    rest = call.state.replica_rest()

    def finish():
        table.lab_status, group.members[region] = "ACTIVE", rest
        if rest == "CREATION_FAILED":
            there.tables.pop(table.name)
        else:
            replica.lab_status = rest

    call.state.begin(key(table.name), finish)


def plant(there, table):
    """The same table with the same items in another region; tags, TTL and backups are each region's own."""
    replica = there.create_table(
        table.name, schema=table.schema, attr=table.attr, throughput=None, billing_mode=table.billing_mode,
        global_indexes=[], indexes=[], streams=dict(table.stream_specification), sse_specification=None,
        deletion_protection_enabled=False, warm_throughput=None, tags=[],
    )  # fmt: skip
    replica.items, replica.ttl = table.items, dict(table.ttl)
    replica.indexes, replica.global_indexes = table.indexes, table.global_indexes
    return replica


def remove(call, table, region):
    group = group_of(table)
    there = bridge.backend("dynamodb", call.account, region)
    replica = there.tables.get(table.name)
    if group is None or region not in group.members or region == call.region:
        refuse("ValidationException", f"Replica in {region} cannot be deleted: there is none beside {call.region}")
    if replica is not None and replica.deletion_protection_enabled:
        refuse("ValidationException", "Replica is currently protected against deletion")
    group.members[region], table.lab_status = "DELETING", "UPDATING"
    if replica is not None:
        replica.lab_status = "DELETING"

    def finish():
        table.lab_status = "ACTIVE"
        there.tables.pop(table.name, None)
        leave(call, table, region)

    call.state.begin(key(table.name), finish)


def leave(call, table, region):
    """Takes a region out of a table's group; a table that is left alone is no global one."""
    group = group_of(table)
    group.members.pop(region, None)
    if len(group.members) == 1:
        for alone in group.members:
            bridge.backend("dynamodb", call.account, alone).tables[table.name].lab_group = None


@operation("dynamodb", "DeleteTable")
def delete(call):
    table = table_of(call)
    answer = dynamodb.delete(call)
    if group_of(table):
        leave(call, table, call.region)
    return answer
