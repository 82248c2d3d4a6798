"""RDS: read replicas, and what it is to promote one.

moto makes a replica in an instant, promotes whatever it is given, and leaves
the source's name on what was promoted. AWS takes minutes for either, begins to
promote late, and the source's name goes last of all: while it is there the
instance is a replica, whatever its status says.
"""

import copy

from moto.core.parse import XFormedDict
from moto.core.utils import utcnow
from moto.rds.models import DBInstance

from .. import bridge
from . import operation, rds, refuse
from .rds import begin, check_groups, check_identifier, find, key, short, store

#: what a promotion is seen to go through: it has not begun yet, and then it restarts
PROMOTING = ("available", "modifying", "rebooting")
RETENTION_MAX = 35


def replication(database):
    """How replication goes, as StatusInfos has it; nothing of what is no replica."""
    status = getattr(database, "lab_replication", None)
    if not database.is_replica or status is None:
        return []
    told = {"StatusType": "read replication", "Normal": status == "replicating", "Status": status}
    return [told | ({"Message": "The source does not answer."} if status == "error" else {})]


def forget(source, replica):
    """moto knows a replica of another region by its ARN and forgets it by its name."""
    names = (replica.db_instance_identifier, replica.db_instance_arn)
    source.replicas = [each for each in source.replicas if each not in names]


DBInstance.status_infos = property(replication)
DBInstance.remove_replica = forget


def home(call, wanted):
    """The region of a source, and the source."""
    region = wanted.split(":")[3] if wanted.startswith("arn:") else call.region
    return region, bridge.backend("rds", call.account, region).databases.get(short(wanted))


def replica_of(here, source, params):
    """A replica in a region. moto makes it with the groups of the source's region."""
    replica = copy.copy(source)
    replica.backend = here
    replica.update(**XFormedDict(params))
    replica.set_as_replica()
    replica.created = replica.instance_create_time = utcnow()
    replica.backup_retention_period = 0
    replica.lab_snapshot = replica.lab_restored_to = replica.lab_replication = None
    here.databases[replica.db_instance_identifier] = replica
    source.add_replica(replica)
    return replica


def live(call, database):
    """A replica whose source does not answer is in error; a lasting stop is its own."""
    if not database.is_replica or getattr(database, "lab_replication", None) not in ("replicating", "error"):
        return
    region, source = home(call, database.source_db_instance_identifier)
    gone = source is None or call.lab.regions.mode(call.account, "rds", region)
    database.lab_replication = "error" if gone else "replicating"


@operation("rds", "DescribeDBInstances")
def describe(call):
    for database in store(call).databases.values():
        live(call, database)
    return rds.describe(call)


@operation("rds", "CreateDBInstanceReadReplica")
def create(call):
    params, here = call.params, store(call)
    name, wanted = params["DBInstanceIdentifier"], params.get("SourceDBInstanceIdentifier")
    check_identifier(name, "DBInstanceIdentifier")
    if name.lower() in here.databases:
        refuse("DBInstanceAlreadyExists", "DB instance already exists")
    if not wanted:
        refuse("InvalidParameterCombination", "SourceDBInstanceIdentifier is required.")
    region, source = home(call, wanted)
    if region != call.region and call.lab.regions.mode(call.account, "rds", region):
        refuse("ServiceUnavailable", f"The source region {region} does not answer", 503)
    if source is None:
        refuse("DBInstanceNotFound", f"DBInstance {wanted} not found.", 404)
    if source.status != "available":
        refuse("InvalidDBInstanceState", f"DB instance {wanted} is not in the available state.")
    if not source.backup_retention_period:
        words = "Automated backups are not enabled for this database instance."
        refuse("InvalidDBInstanceState", words)
    if source.storage_encrypted and region != call.region and not params.get("KmsKeyId"):
        words = "A KMS key of the destination region is required for a replica of an encrypted instance."
        refuse("InvalidParameterCombination", words)
    check_groups(call, source.engine, source.engine_version)
    replica = replica_of(here, source, {**params, "DBInstanceIdentifier": name.lower()})
    answer = begin(call, replica)

    def finish():
        replica.status = call.state.db_rest()
        # It is available before it follows its source.
        call.state.begin(key(call, "db", name.lower()), follow, (replica.status,), looks=1)

    def follow():
        replica.lab_replication = "replicating"

    call.state.under_way[key(call, "db", name.lower())].finish = finish
    return answer


@operation("rds", "PromoteReadReplica")
def promote(call):
    params = call.params
    name = short(params["DBInstanceIdentifier"])
    database = find(call, name)
    if not database.is_replica:
        refuse("InvalidDBInstanceState", f"DB Instance {name} is not a read replica.")
    if database.status != "available" or getattr(database, "lab_promoting", False):
        refuse("InvalidDBInstanceState", f"DB Instance {name} is not in the available state.")
    days = params.get("BackupRetentionPeriod", 1)
    if not 0 <= days <= RETENTION_MAX:
        refuse("InvalidParameterValue", f"Invalid backup retention period: {days}. Must be between 0 and {RETENTION_MAX}")
    database.lab_promoting = True

    def finish():
        _, source = home(call, database.source_db_instance_identifier)
        if source is not None:
            source.remove_replica(database)
        database.is_replica, database.lab_promoting = False, False
        database.source_db_instance_identifier = database.lab_replication = None
        database.backup_retention_period = days
        if params.get("PreferredBackupWindow"):
            database.preferred_backup_window = params["PreferredBackupWindow"]
        database.status = call.state.db_rest()

    looks = call.state.looks + len(PROMOTING) - 1
    call.state.begin(key(call, "db", name), finish, PROMOTING, looks=looks)
    return {"DBInstance": database}
