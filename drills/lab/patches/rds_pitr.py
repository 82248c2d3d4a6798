"""RDS: automated backups, and restoring to a moment.

moto lists backups that no window bounds and restores to any time at all. Here
a backup says from when to when it can be restored, the end of that moves on
while its region lives, and what lies outside is refused, as is asking for a
moment and for the latest at once.
"""

from datetime import datetime, timedelta, timezone

from moto.core.parse import XFormedDict
from moto.rds.models import DBSnapshot

from .. import bridge
from . import operation, refuse
from .rds import begin, check_groups, check_identifier, short, store

#: how far the end of a window is behind the present (User Guide: usually within the last five minutes)
LAG = timedelta(minutes=4)


class Backup:
    """The automated backups of an instance in a region: its own, or replicated there."""

    def __init__(self, region, database, earliest, arn=None, status="active"):
        self.region = region
        self.database = database
        self.earliest = earliest
        self.arn = arn
        self.status = status
        self.stopped = None

    def latest(self):
        end = self.stopped or datetime.now(timezone.utc)
        return (end - LAG).replace(microsecond=0)

    def told(self):
        window = {"EarliestTime": self.earliest, "LatestTime": self.latest()}
        told = {
            "DBInstanceArn": self.database.db_instance_arn,
            "DbiResourceId": self.database.dbi_resource_id,
            "Region": self.region,
            "DBInstanceIdentifier": self.database.db_instance_identifier,
            "RestoreWindow": {} if self.status == "creating" else window,
            "Status": self.status,
            "Engine": self.database.engine,
            "EngineVersion": self.database.engine_version,
            "Encrypted": False,
            "BackupRetentionPeriod": self.database.backup_retention_period,
        }
        return told | ({"DBInstanceAutomatedBackupsArn": self.arn} if self.arn else {})


def backups(here):
    """The backups that stand in a region."""
    return here.__dict__.setdefault("lab_backups", [])


def plant(here, account, region, home, database, days=7):
    """Backups of a database of another region, replicated to this one."""
    earliest = (datetime.now(timezone.utc) - timedelta(days=days)).replace(microsecond=0)
    name = database.db_instance_identifier.upper()
    arn = f"arn:aws:rds:{region}:{account}:auto-backup:ab-LAB{name}EXAMPLE"
    backups(here).append(Backup(home, database, earliest, arn))


def plant_own(here, region, database, days=7):
    """Backups of a database of this region."""
    earliest = (datetime.now(timezone.utc) - timedelta(days=days)).replace(microsecond=0)
    backups(here).append(Backup(region, database, earliest))


def live(call, backup):
    """A window ends where its region was lost."""
    if backup.stopped is None and call.lab.regions.mode(call.account, "rds", backup.region):
        backup.stopped = datetime.now(timezone.utc)


@operation("rds", "DescribeDBInstanceAutomatedBackups")
def describe(call):
    params, found = call.params, backups(store(call))
    name = params.get("DBInstanceIdentifier")
    if name and short(name) not in store(call).databases:
        refuse("DBInstanceNotFound", f"DBInstance {name} not found.", 404)
    filters = {each["Name"]: each["Values"] for each in params.get("Filters") or []}
    wanted = {
        "db-instance-id": lambda b: b.database.db_instance_identifier,
        "dbi-resource-id": lambda b: b.database.dbi_resource_id,
        "status": lambda b: b.status,
    }
    for filter_name, values in filters.items():
        if filter_name not in wanted:
            refuse("InvalidParameterValue", f"Unrecognized filter name: {filter_name}")
        found = [b for b in found if wanted[filter_name](b) in [short(v) for v in values]]
    if params.get("DBInstanceAutomatedBackupsArn"):
        found = [b for b in found if b.arn == params["DBInstanceAutomatedBackupsArn"]]
    for backup in found:
        live(call, backup)
    return {"DBInstanceAutomatedBackups": [b.told() for b in found]}


def source(call):
    """The backup that a request names in one of the three ways."""
    params, here = call.params, store(call)
    arn, resource = params.get("SourceDBInstanceAutomatedBackupsArn"), params.get("SourceDbiResourceId")
    name = params.get("SourceDBInstanceIdentifier")
    if sum(each is not None for each in (arn, resource, name)) != 1:
        refuse("InvalidParameterCombination", "Exactly one source has to be specified.")
    for backup in backups(here):
        own = backup.arn is None
        if arn == backup.arn and arn is not None:
            return backup
        if own and resource and backup.database.dbi_resource_id.lower() == resource.lower():
            return backup
        if own and name and backup.database.db_instance_identifier == short(name):
            return backup
    if name:
        refuse("DBInstanceNotFound", f"DBInstance {name} not found.", 404)
    refuse("DBInstanceAutomatedBackupNotFound", f"The automated backup {arn or resource} was not found.", 404)


def moment(text):
    return text if isinstance(text, datetime) else datetime.fromisoformat(str(text).replace("Z", "+00:00"))


@operation("rds", "RestoreDBInstanceToPointInTime")
def restore(call):
    params, here = call.params, store(call)
    name = params["TargetDBInstanceIdentifier"]
    check_identifier(name, "TargetDBInstanceIdentifier")
    if name.lower() in here.databases:
        refuse("DBInstanceAlreadyExists", "DB instance already exists")
    backup = source(call)
    live(call, backup)
    if backup.status == "creating":
        refuse("PointInTimeRestoreNotEnabled", "The backup has no restorable time yet.")
    at, latest = params.get("RestoreTime"), params.get("UseLatestRestorableTime")
    if bool(at) == bool(latest):
        words = "One of RestoreTime and UseLatestRestorableTime has to be specified."
        refuse("InvalidParameterCombination", words)
    at = moment(at) if at else backup.latest()
    at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
    if at < backup.earliest:
        refuse("InvalidParameterValue", f"The specified instance cannot be restored to a time earlier than {backup.earliest}")
    if params.get("RestoreTime") and at >= backup.latest():
        refuse("InvalidParameterValue", f"The specified instance cannot be restored to a time later than {backup.latest()}")
    database = backup.database
    check_groups(call, database.engine, database.engine_version)
    # moto restores from snapshots of its own region: one that lives as long as this call stands in.
    passing = f"lab-passing-{name.lower()}"
    here.database_snapshots[passing] = DBSnapshot(here, database, passing)
    given = {**params, "DBInstanceIdentifier": name.lower(), "DBSnapshotIdentifier": passing}
    try:
        restored = here.restore_db_instance_from_db_snapshot(passing, XFormedDict(given))
    finally:
        del here.database_snapshots[passing]
    restored.lab_snapshot = None
    restored.lab_restored_to = at.isoformat()
    return begin(call, restored)
