"""DynamoDB backups and what is restored from them.

A restore carries the items, keys and indexes over and nothing else; a
backup is seen in its own region only.
"""

from datetime import datetime, timezone

from moto.dynamodb.models.table import GlobalSecondaryIndex

from .. import bridge
from . import operation, refuse
from .dynamodb import described, must_be_active, settle, short, store, table_of, window


@operation("dynamodb", "CreateBackup")
def create_backup(call):
    table = table_of(call, code="TableNotFoundException")
    must_be_active(table, "TableInUseException")
    answer = bridge.dispatch(call)
    if answer[0] >= 400:
        return answer
    backup = list(store(call).backups.values())[-1]
    backup.status = "CREATING"
    call.state.begin(("backup", call.region, backup.arn), lambda: setattr(backup, "status", "AVAILABLE"))
    return {"BackupDetails": backup.details}


@operation("dynamodb", "DescribeBackup")
def describe_backup(call):
    call.state.look(("backup", call.region, call.params["BackupArn"]))
    return bridge.dispatch(call)


@operation("dynamodb", "ListBackups")
def list_backups(call):
    """moto knows no paging, time bounds or ARNs here."""
    params, here = call.params, store(call)
    found = sorted(here.backups.values(), key=lambda b: b.arn)
    for backup in found:
        call.state.look(("backup", call.region, backup.arn))
    name = params.get("TableName")
    if name:
        found = [b for b in found if b.table.name == short(name)]
    low, high = params.get("TimeRangeLowerBound"), params.get("TimeRangeUpperBound")
    found = [
        b for b in found
        if (low is None or b.creation_date_time >= low) and (high is None or b.creation_date_time < high)
    ]  # fmt: skip
    kind = params.get("BackupType") or "USER"
    found = [b for b in found if kind in ("ALL", b.type)]
    start = params.get("ExclusiveStartBackupArn")
    if start:
        found = [b for b in found if b.arn > start]
    most = params.get("Limit") or 100
    result = {"BackupSummaries": [b.summary for b in found[:most]]}
    if len(found) > most:
        result["LastEvaluatedBackupArn"] = found[most - 1].arn
    return result


def overrides(call, table, source):
    """The parts a restore may change, and what moto forgets to carry over."""
    params = call.params
    table.billing_mode = params.get("BillingModeOverride") or source.billing_mode
    if "ProvisionedThroughputOverride" in params:
        table.throughput = {**params["ProvisionedThroughputOverride"], "NumberOfDecreasesToday": 0}
    if "GlobalSecondaryIndexOverride" in params:
        table.global_indexes = [
            GlobalSecondaryIndex.create(index, table.table_key_attrs)
            for index in params["GlobalSecondaryIndexOverride"]
        ]
    if "LocalSecondaryIndexOverride" in params:
        table.indexes = []
    table.tags = []
    settle(call, table, "CREATING")


@operation("dynamodb", "RestoreTableFromBackup")
def restore_backup(call):
    here, arn = store(call), call.params["BackupArn"]
    name = call.params["TargetTableName"]
    if name in here.tables:
        refuse("TableAlreadyExistsException", f"Table already exists: {name}")
    backup = here.backups.get(arn)
    if backup is None:
        refuse("BackupNotFoundException", f"Backup not found: {arn}")
    if backup.status != "AVAILABLE":
        refuse("BackupInUseException", f"Backup is being {backup.status.lower()}: {arn}")
    table = here.restore_table_from_backup(name, arn)
    table.restore_date_time = backup.creation_date_time
    overrides(call, table, backup.table)
    return {"TableDescription": described(table)}


@operation("dynamodb", "RestoreTableToPointInTime")
def restore_time(call):
    here, params = store(call), call.params
    field = "SourceTableArn" if params.get("SourceTableArn") else "SourceTableName"
    source = here.tables.get(short(params.get(field) or ""))
    if source is None:
        refuse("TableNotFoundException", f"Table not found: {params.get(field)}")
    if params["TargetTableName"] in here.tables:
        refuse("TableAlreadyExistsException", f"Table already exists: {params['TargetTableName']}")
    recovery = window(source)
    if recovery["PointInTimeRecoveryStatus"] != "ENABLED":
        words = f"Point in time recovery is not enabled for table '{source.name}'"
        refuse("PointInTimeRecoveryUnavailableException", words)
    at = params.get("RestoreDateTime")
    if bool(at) == bool(params.get("UseLatestRestorableTime")):
        words = "One and only one of RestoreDateTime and UseLatestRestorableTime must be given"
        refuse("ValidationException", words)
    first, last = (recovery[f"{end}RestorableDateTime"] for end in ("Earliest", "Latest"))
    if last < first or (at and not first <= at.replace(tzinfo=timezone.utc).timestamp() <= last):
        refuse("InvalidRestoreTimeException", "RestoreDateTime is outside the restorable window")
    table = here.restore_table_to_point_in_time(params["TargetTableName"], source.name)
    table.restore_date_time = at or datetime.fromtimestamp(last, timezone.utc).replace(tzinfo=None)
    overrides(call, table, source)
    return {"TableDescription": described(table)}
