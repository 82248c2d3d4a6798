"""DynamoDB tables that are made, changed and deleted in their own time.

moto restores at once and forgets nothing it should; AWS restores slowly and
drops TTL, streams, point-in-time recovery and tags. What a table is doing
is kept in `lab_status` on moto's table.

A table that has just become ACTIVE has no continuous backups for a while
longer, and one that is deleted with point-in-time recovery leaves a SYSTEM
backup behind (API reference, UpdateContinuousBackups and BackupSummary).
"""

import hashlib
import json
import time
import uuid

from moto.dynamodb.models.table import RestoredPITTable, RestoredTable, Table

from .. import bridge
from . import operation, refuse

#: seconds (API reference, PointInTimeRecoveryDescription: typically five minutes before the present)
LAG = 300
_describe, _restored, _pit = Table.describe, RestoredTable.describe, RestoredPITTable.describe


def status_of(table):
    return table.__dict__.get("lab_status", "ACTIVE")


def describe_table(self, base_key="TableDescription"):
    result = _describe(self, base_key)
    shown = result[base_key]
    shown["TableStatus"] = status_of(self)
    shown["TableId"] = self.__dict__.get("lab_id") or hashlib.md5(self.table_arn.encode()).hexdigest()
    for index in shown["GlobalSecondaryIndexes"]:
        index["IndexStatus"] = "CREATING" if status_of(self) == "CREATING" else "ACTIVE"
    if status_of(self) == "CREATING":
        shown["ItemCount"] = 0
    return result


def describe_restored(inner):
    def describe(self, base_key="TableDescription"):
        result = inner(self, base_key)
        result[base_key]["RestoreSummary"]["RestoreInProgress"] = status_of(self) == "CREATING"
        return result

    return describe


Table.describe = describe_table
RestoredTable.describe = describe_restored(_restored)
RestoredPITTable.describe = describe_restored(_pit)


def store(call):
    return bridge.backend("dynamodb", call.account, call.region)


def short(name):
    """A table's name, also out of its ARN."""
    return name.split(":table/")[-1].split("/")[0]


def key(call, name):
    return ("dynamodb", call.region, name)


def table_of(call, field="TableName", code="ResourceNotFoundException"):
    name = short(call.params[field])
    table = store(call).tables.get(name)
    if table is None:
        words = f"Requested resource not found: Table: {name} not found"
        if code == "TableNotFoundException":
            words = f"Table not found: {name}"
        refuse(code, words)
    return table


def must_be_active(table, code="ResourceInUseException"):
    now = status_of(table)
    if now != "ACTIVE":
        words = f"Attempt to change a resource which is still in use: Table is being {now.lower()}: {table.name}"
        refuse(code, words)


def settle(call, table, status):
    """Puts a table into a status until it is ACTIVE again; one that is made has an id of its own."""
    table.lab_status = status
    if status == "CREATING":
        table.lab_id = str(uuid.uuid4())

    def finish():
        table.lab_status = "ACTIVE"
        if status == "CREATING":
            call.state.begin(continuous(call, table), lambda: None)

    call.state.begin(key(call, table.name), finish)


def continuous(call, table):
    """The key of a table's continuous backups while they are being enabled."""
    return ("continuous", call.region, table.name)


def described(table):
    return table.describe(base_key="TableDescription")["TableDescription"]


@operation("dynamodb", "DescribeTable")
def describe(call):
    name = short(call.params["TableName"])
    call.state.look(key(call, name))
    return bridge.dispatch(call)


@operation("dynamodb", "CreateTable")
def create(call):
    answer = bridge.dispatch(call)
    if answer[0] >= 400:
        return answer
    table = store(call).tables[call.params["TableName"]]
    settle(call, table, "CREATING")
    return {"TableDescription": described(table)}


@operation("dynamodb", "UpdateTable")
def update(call):
    table = table_of(call)
    must_be_active(table)
    stream = call.params.get("StreamSpecification")
    if stream:
        on = bool((table.stream_specification or {}).get("StreamEnabled"))
        if stream.get("StreamEnabled") and on:
            refuse("ValidationException", f"Table already has an enabled stream: TableName: {table.name}")
        if stream.get("StreamEnabled") is False and not on:
            refuse("ValidationException", f"Table has no stream to disable: TableName: {table.name}")
        if stream.get("StreamEnabled") and not stream.get("StreamViewType"):
            refuse("ValidationException", "One or more parameter values were invalid: StreamViewType is missing")
        table.latest_stream_label = table.latest_stream_label if on else None
    answer = bridge.dispatch(call)
    if answer[0] >= 400:
        return answer
    settle(call, table, "UPDATING")
    return {"TableDescription": described(table)}


@operation("dynamodb", "DeleteTable")
def delete(call):
    table = table_of(call)
    must_be_active(table)
    if table.deletion_protection_enabled:
        words = "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
        refuse("ValidationException", words)
    here = store(call)
    last = system_backup(here, table)
    table.lab_status = "DELETING"
    shown = described(table)

    def finish():
        here.tables.pop(table.name, None)
        if last is not None:
            last.status = "AVAILABLE"

    call.state.stop(continuous(call, table))
    call.state.begin(key(call, table.name), finish)
    return {"TableDescription": shown}


def system_backup(here, table):
    """What AWS keeps of a table that is deleted with point-in-time recovery."""
    recovery = table.continuous_backups["PointInTimeRecoveryDescription"]
    if recovery["PointInTimeRecoveryStatus"] != "ENABLED":
        return None
    backup = here.create_backup(table.name, f"{table.name}$DeletedTableBackup")
    backup.type, backup.status = "SYSTEM", "CREATING"
    return backup


@operation("dynamodb", "UpdateTimeToLive")
def update_ttl(call):
    table = table_of(call)
    must_be_active(table)
    wanted = call.params["TimeToLiveSpecification"]
    enabled = table.ttl["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
    if table.ttl["TimeToLiveStatus"] in ("ENABLING", "DISABLING"):
        words = "Time to live has been modified multiple times within a fixed interval"
        if not (enabled and wanted["Enabled"]):
            refuse("ValidationException", words)
    if wanted["Enabled"] and enabled:
        current = table.ttl.get("AttributeName")
        if current != wanted["AttributeName"]:
            words = f"TimeToLive is active on a different AttributeName: current AttributeName is {current}"
            refuse("ValidationException", words)
        refuse("ValidationException", "TimeToLive is already enabled")
    if not wanted["Enabled"] and not enabled:
        refuse("ValidationException", "TimeToLive is already disabled")
    table.ttl.update(
        TimeToLiveStatus="ENABLING" if wanted["Enabled"] else "DISABLING",
        AttributeName=wanted["AttributeName"],
    )

    def finish():
        table.ttl["TimeToLiveStatus"] = "ENABLED" if wanted["Enabled"] else "DISABLED"
        if not wanted["Enabled"]:
            table.ttl.pop("AttributeName", None)

    call.state.begin(("ttl", call.region, table.name), finish)
    return {"TimeToLiveSpecification": wanted}


@operation("dynamodb", "DescribeTimeToLive")
def describe_ttl(call):
    table = table_of(call)
    call.state.look(("ttl", call.region, table.name))
    return {"TimeToLiveDescription": dict(table.ttl)}


@operation("dynamodb", "UpdateContinuousBackups")
def update_backups(call):
    table = table_of(call, code="TableNotFoundException")
    if being_enabled(call, table):
        words = f"Backups are being enabled for the table: {table.name}. Please retry later"
        refuse("ContinuousBackupsUnavailableException", words)
    return bridge.dispatch(call)


@operation("dynamodb", "DescribeContinuousBackups")
def describe_backups(call):
    table = table_of(call, code="TableNotFoundException")
    if being_enabled(call, table):
        off = {"PointInTimeRecoveryStatus": "DISABLED"}
        shown = {"ContinuousBackupsStatus": "DISABLED", "PointInTimeRecoveryDescription": off}
        return {"ContinuousBackupsDescription": shown}
    window(table)
    return bridge.dispatch(call)


def window(table):
    """From when to when a table can be restored: the end moves on, behind the present."""
    recovery = table.continuous_backups["PointInTimeRecoveryDescription"]
    if recovery["PointInTimeRecoveryStatus"] == "ENABLED":
        recovery["LatestRestorableDateTime"] = int(time.time()) - LAG
    return recovery


def being_enabled(call, table):
    """Whether a table has no continuous backups yet; asking is a look."""
    call.state.look(continuous(call, table))
    return status_of(table) == "CREATING" or continuous(call, table) in call.state.under_way


@operation("dynamodb", "TagResource", "UntagResource")
def tag(call):
    table = store(call).tables.get(short(call.params["ResourceArn"]))
    if table is None or table.table_arn != call.params["ResourceArn"]:
        refuse("ResourceNotFoundException", f"Requested resource not found: {call.params['ResourceArn']}")
    must_be_active(table)
    return bridge.dispatch(call)


@operation(
    "dynamodb", "PutItem", "GetItem", "UpdateItem", "DeleteItem", "Query", "Scan",
)  # fmt: skip
def data(call):
    """Items of a table that is being made or deleted are not there."""
    table = table_of(call)
    if status_of(table) in ("CREATING", "DELETING"):
        refuse("ResourceNotFoundException", "Requested resource not found")
    return bridge.dispatch(call)


@operation("dynamodb", "BatchWriteItem", "BatchGetItem")
def batch(call):
    for name in call.params.get("RequestItems") or {}:
        table = store(call).tables.get(short(name))
        if table is None or status_of(table) in ("CREATING", "DELETING"):
            refuse("ResourceNotFoundException", "Requested resource not found")
    return bridge.dispatch(call)


def items_of(table):
    for value in table.items.values():
        yield from value.values() if isinstance(value, dict) else [value]


def table_state(table):
    rows = sorted(json.dumps(item.to_json(), sort_keys=True, default=str) for item in items_of(table))
    recovery = table.continuous_backups["PointInTimeRecoveryDescription"]
    stream = table.stream_specification or {}
    group = table.__dict__.get("lab_group")
    return {
        **({"replicas": dict(group.members)} if group else {}),
        "status": status_of(table),
        "schema": table.schema,
        "attributes": table.attr,
        "billing": table.billing_mode,
        "indexes": sorted(index.name for index in table.global_indexes),
        "ttl": {k: v for k, v in table.ttl.items() if v is not None},
        "stream": stream if stream.get("StreamEnabled") else None,
        "pitr": recovery["PointInTimeRecoveryStatus"],
        "deletion_protection": bool(table.deletion_protection_enabled),
        "tags": {t["Key"]: t["Value"] for t in table.tags},
        "from": getattr(table, "source_backup_arn", None) or getattr(table, "source_table_arn", None),
        "items": len(rows),
        "items_sha256": hashlib.sha256("\n".join(rows).encode()).hexdigest(),
    }


def state(account):
    """Tables and backups of every region as plain data."""
    found = {}
    for region, here in sorted(bridge.backends("dynamodb")[account.name].items()):
        # What AWS keeps by itself of a deleted table is not what anybody asked for.
        backups = [
            {"name": b.name, "table": b.table.name, "status": b.status}
            for b in here.backups.values() if b.type == "USER"
        ]
        if here.tables or backups:
            found[region] = {
                "tables": {name: table_state(table) for name, table in here.tables.items()},
                "backups": sorted(backups, key=lambda b: (b["table"], b["name"])),
            }
    return found
