"""RDS with a sense of time, and refusals where AWS refuses.

moto restores at once, takes the source's deletion protection and Multi-AZ
along, and gives every instance the same resource id. AWS takes minutes,
defaults what is not given, and refuses groups that are not there.
"""

import re
import uuid

from moto.core.parse import XFormedDict
from moto.rds.models import DBInstance, DBSnapshot

from .. import bridge
from . import operation, refuse

RESTORING = ("creating", "backing-up", "modifying")
#: in which an instance works and takes changes (User Guide, Viewing DB instance status)
USABLE = ("available", "storage-optimization", "storage-initialization")
DEFERRED = ("DBInstanceClass", "AllocatedStorage", "MultiAZ", "EngineVersion", "StorageType")

_endpoint = DBInstance.endpoint
DBInstance.endpoint = property(
    lambda self: None if self.status == "creating" else _endpoint.fget(self)
)


def store(call):
    return bridge.backend("rds", call.account, call.region)


def key(call, kind, name):
    return ("rds", call.region, kind, name)


def short(identifier):
    """The name in an identifier that may be an ARN."""
    return identifier.rsplit(":", 1)[-1].lower() if identifier else identifier


def check_identifier(name, what, longest=63):
    good = re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name) and len(name) <= longest
    if not good or "--" in name or name.endswith("-"):
        refuse(
            "InvalidParameterValue",
            f"The parameter {what} is not a valid identifier. Identifiers must begin with a "
            "letter; must contain only ASCII letters, digits, and hyphens; and must not end "
            "with a hyphen or contain two consecutive hyphens.",
        )


def check_groups(call, engine, version):
    """Subnet group, parameter group and security groups must exist here and fit."""
    params, here = call.params, store(call)
    vpc = None
    subnets = params.get("DBSubnetGroupName")
    if subnets is not None:
        if subnets not in here.subnet_groups:
            refuse("DBSubnetGroupNotFoundFault", f"DBSubnetGroup '{subnets}' not found.", 404)
        vpc = here.subnet_groups[subnets].vpc_id
    group = params.get("DBParameterGroupName")
    if group is not None and not group.startswith("default."):
        if group not in here.db_parameter_groups:
            refuse("DBParameterGroupNotFound", f"DBParameterGroup not found: {group}", 404)
        family = here.db_parameter_groups[group].family
        # MySQL and MariaDB count their families by two numbers (`mysql8.0`), PostgreSQL by one.
        numbers = 2 if engine in ("mysql", "mariadb") else 1
        wanted = engine + ".".join(str(version).split(".")[:numbers])
        if family != wanted:
            refuse(
                "InvalidParameterCombination",
                f"The Parameter Group {group} with DBParameterGroupFamily {family} cannot be "
                f"used for this instance. Please use a Parameter Group with "
                f"DBParameterGroupFamily {wanted}",
            )
    cloud = bridge.backend("ec2", call.account, call.region)
    for identifier in params.get("VpcSecurityGroupIds") or []:
        security = cloud.get_security_group_from_id(identifier)
        if security is None:
            words = f"Invalid security group , groupId= {identifier}, groupName=."
            refuse("InvalidParameterValue", words)
        if vpc and security.vpc_id != vpc:
            refuse(
                "InvalidParameterCombination",
                "The DB instance and EC2 security group are in different VPCs. The DB instance "
                f"is in {vpc} and the EC2 security group is in {security.vpc_id}",
            )
    size = params.get("DBInstanceClass")
    if size is not None and not re.fullmatch(r"db\.[a-z0-9-]+\.[a-z0-9]+", size):
        refuse("InvalidParameterValue", f"Invalid DB Instance class: {size}")


def find(call, name):
    database = store(call).databases.get(short(name))
    if database is None:
        refuse("DBInstanceNotFound", f"DBInstance {name} not found.", 404)
    return database


def settle(call, database, name, stages):
    """Puts an instance under way until it comes to rest, mostly as `available`."""
    database.status = stages[0]

    def finish():
        database.status = call.state.db_rest()

    call.state.begin(key(call, "db", name), finish, stages)


def resource_id():
    return "db-" + uuid.uuid4().hex[:26].upper()


def begin(call, database):
    """What was restored has what was asked for, else what AWS defaults, and is not there at once."""
    params = call.params
    database.multi_az = bool(params.get("MultiAZ", False))
    database.deletion_protection = bool(params.get("DeletionProtection", False))
    database.publicly_accessible = bool(params.get("PubliclyAccessible", False))
    database.tags = list(params.get("Tags") or [])
    database.dbi_resource_id = resource_id()
    database.replicas = []
    database.lab_pending = {}
    if "DBSubnetGroupName" not in params:
        database._db_subnet_group_name = None
        database.__dict__.pop("db_subnet_group", None)
    if "DBParameterGroupName" not in params:
        database.db_parameter_group_name = None
    settle(call, database, database.db_instance_identifier, RESTORING)
    return {"DBInstance": database}


@operation("rds", "RestoreDBInstanceFromDBSnapshot")
def restore(call):
    params, here = call.params, store(call)
    name = params["DBInstanceIdentifier"]
    check_identifier(name, "DBInstanceIdentifier")
    if name.lower() in here.databases:
        refuse("DBInstanceAlreadyExists", "DB instance already exists")
    wanted = params.get("DBSnapshotIdentifier") or ""
    snapshot = here.database_snapshots.get(short(wanted))
    if wanted.startswith("arn:") and f":rds:{call.region}:{call.account}:" not in wanted:
        snapshot = None
    if snapshot is None:
        refuse("DBSnapshotNotFound", f"DBSnapshot not found: {wanted}", 404)
    if snapshot.status != "available":
        refuse(
            "InvalidDBSnapshotState",
            f"The snapshot {wanted} is not in available state: {snapshot.status}",
        )
    check_groups(call, snapshot.engine, snapshot.engine_version)
    given = dict(params)
    given["DBInstanceIdentifier"] = name.lower()
    given["DBSnapshotIdentifier"] = short(wanted)
    database = here.restore_db_instance_from_db_snapshot(short(wanted), XFormedDict(given))
    database.lab_snapshot = short(wanted)
    return begin(call, database)


@operation("rds", "CreateDBInstance")
def create(call):
    name = call.params["DBInstanceIdentifier"]
    check_identifier(name, "DBInstanceIdentifier")
    version = call.params.get("EngineVersion") or "15.4"
    check_groups(call, call.params.get("Engine"), version)
    answer = bridge.dispatch(call)
    database = store(call).databases.get(name.lower()) or store(call).databases.get(name)
    if answer[0] >= 400 or database is None:
        return answer
    database.dbi_resource_id = resource_id()
    settle(call, database, name.lower(), RESTORING)
    return {"DBInstance": database}


@operation("rds", "DescribeDBInstances")
def describe(call):
    """Each instance that this answer returns has been looked at once."""
    name = call.params.get("DBInstanceIdentifier")
    filters = {each["Name"]: each["Values"] for each in call.params.get("Filters") or []}
    names = [short(name)] if name else list(store(call).databases)
    if "db-instance-id" in filters:
        wanted = [short(each) for each in filters["db-instance-id"]]
        names = [each for each in names if each in wanted]
    for each in names:
        database = store(call).databases.get(each)
        call.state.look(key(call, "parameters", each))
        call.state.look(key(call, "groups", each))
        call.state.look(key(call, "rules", each))
        progress = call.state.under_way.get(key(call, "db", each))
        if database is not None and progress is not None:
            if progress.stages:
                database.status = progress.stage()
            call.state.look(key(call, "db", each))
    return bridge.dispatch(call)


def put_into(call, database, name, groups):
    """Security groups are applied asynchronously: the list may show them late
    (`db_groups_late` looks after the instance works), and calls them active
    before their rules hold."""
    looks, late = call.state.looks, call.state.db_groups_late

    def show():
        database.vpc_security_group_ids = list(groups)
        if call.state.seconds is None:
            rules = 2 * looks if not late else looks
            call.state.begin(key(call, "rules", name), lambda: None, looks=rules)

    if late:
        call.state.begin(key(call, "groups", name), show, looks=looks + late)
    else:
        show()


@operation("rds", "ModifyDBInstance")
def modify(call):
    params = dict(call.params)
    name = short(params["DBInstanceIdentifier"])
    database = find(call, name)
    if database.status not in USABLE:
        refuse("InvalidDBInstanceState", "Database instance is not in available state.")
    check_groups(call, database.engine, database.engine_version)
    if not params.get("ApplyImmediately"):
        later = {k: params.pop(k) for k in DEFERRED if k in params}
        database.lab_pending = {**getattr(database, "lab_pending", {}), **later}
        database.pending_modified_values = database.lab_pending
    params["DBInstanceIdentifier"] = name
    renamed = params.pop("NewDBInstanceIdentifier", None)
    if renamed and not params.get("ApplyImmediately"):
        refuse("InvalidParameterCombination", "the lab renames instances with ApplyImmediately only")
    if renamed:
        return rename(call, database, name, renamed)
    groups = params.pop("VpcSecurityGroupIds", None)
    store(call).modify_db_instance(name, XFormedDict(params))
    if groups is not None:
        put_into(call, database, name, groups)
    settle(call, database, name, ("modifying",))
    return {"DBInstance": database}


def rename(call, database, name, new):
    """It has its new name once it is no longer `renaming`, and its resource id stays (User Guide,
    Renaming a DB instance). What else is asked for in the same call is not the lab's."""
    check_identifier(new, "NewDBInstanceIdentifier")
    new, here = new.lower(), store(call)
    if new in here.databases:
        refuse("DBInstanceAlreadyExists", "DB instance already exists")
    if set(call.params) - {"DBInstanceIdentifier", "NewDBInstanceIdentifier", "ApplyImmediately"}:
        refuse("InvalidParameterCombination", "the lab renames an instance in a call of its own")
    database.status = "renaming"

    def finish():
        here.databases[new] = here.databases.pop(name)
        database.db_instance_identifier, database.status = new, call.state.db_rest()

    call.state.begin(key(call, "db", name), finish, ("renaming",))
    return {"DBInstance": database}


@operation("rds", "DeleteDBInstance")
def delete(call):
    params = call.params
    name = short(params["DBInstanceIdentifier"])
    database = find(call, name)
    if database.status == "deleting":
        refuse("InvalidDBInstanceState", f"Instance {name} is already being deleted.")
    if database.deletion_protection:
        refuse(
            "InvalidParameterCombination",
            "Cannot delete protected DB Instance, please disable deletion protection and try again.",
        )
    final, skip = params.get("FinalDBSnapshotIdentifier"), params.get("SkipFinalSnapshot")
    if not final and not skip:
        refuse(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )
    if final and skip:
        refuse(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier can not be specified when SkipFinalSnapshot is specified.",
        )
    here = store(call)
    if final:
        here.create_db_snapshot(name, final.lower())
    database.status = "deleting"

    def finish():
        database.deletion_protection = False
        here.databases[name] = database
        here.delete_db_instance(name, skip_final_snapshot=True)

    call.state.begin(key(call, "db", name), finish)
    database.status = "deleting"
    return {"DBInstance": database}


@operation("rds", "DescribeDBSnapshots")
def describe_snapshots(call):
    name = call.params.get("DBSnapshotIdentifier")
    for each in [short(name)] if name else list(store(call).database_snapshots):
        call.state.look(key(call, "snapshot", each))
    for snapshot in store(call).database_snapshots.values():
        # moto makes some of its own accord: those are of this region.
        if not hasattr(snapshot, "source_region"):
            came_from(snapshot, snapshot.db_snapshot_arn, call.region)
    return bridge.dispatch(call)


def came_from(snapshot, arn, here):
    """Where a snapshot was made, or copied from; from what only where that is another region or account."""
    region, account = arn.split(":")[3:5]
    snapshot.source_region = region
    if (region, account) != (here, snapshot.db_snapshot_arn.split(":")[4]):
        snapshot.source_db_snapshot_identifier = arn


@operation("rds", "CreateDBSnapshot", "CopyDBSnapshot")
def take_snapshot(call):
    """A copy keeps the moment of its data; only the creation time is its own."""
    copying = call.name == "CopyDBSnapshot"
    field = "TargetDBSnapshotIdentifier" if copying else "DBSnapshotIdentifier"
    name = call.params[field].lower()
    check_identifier(name, field, 255)
    source = None
    if copying:
        wanted = call.params["SourceDBSnapshotIdentifier"]
        region = wanted.split(":")[3] if wanted.startswith("arn:") else call.region
        if region != call.region and call.lab.regions.mode(call.account, "rds", region):
            refuse("ServiceUnavailable", f"The source region {region} does not answer", 503)
        source = store(call).get_db_snapshot(wanted)
        if source.status != "available":
            refuse("InvalidDBSnapshotState", "The source snapshot is not in available state")
        if source.encrypted and region != call.region and not call.params.get("KmsKeyId"):
            words = "A KMS key of the destination region is required to copy an encrypted snapshot."
            refuse("InvalidParameterCombination", words)
    elif find(call, call.params["DBInstanceIdentifier"]).status != "available":
        refuse("InvalidDBInstanceState", "Cannot create a snapshot: the instance is not available")
    answer = bridge.dispatch(call)
    snapshot = store(call).database_snapshots.get(name)
    if answer[0] >= 400 or snapshot is None:
        return answer
    snapshot.snapshot_database_time = getattr(
        source, "snapshot_database_time", snapshot.original_snapshot_create_time
    )
    came_from(snapshot, (source or snapshot).db_snapshot_arn, call.region)
    snapshot.lab_source = getattr(source, "lab_source", None) or snapshot.db_instance_identifier
    snapshot.status = "creating"

    def finish():
        snapshot.status = "available"

    call.state.begin(key(call, "snapshot", name), finish)
    return {"DBSnapshot": snapshot}


def tags(resource):
    return {tag["Key"]: tag.get("Value", "") for tag in resource.tags or []}


def state(account):
    """RDS of an account as plain data, every region."""
    found = {}
    for region, here in sorted(bridge.backends("rds")[account.name].items()):
        place = {
            "instances": {n: instance(d) for n, d in here.databases.items()},
            "snapshots": {n: snapshot_state(s) for n, s in here.database_snapshots.items()},
            "subnet_groups": sorted(here.subnet_groups),
            "parameter_groups": sorted(
                n for n in here.db_parameter_groups if not n.startswith("default.")
            ),
        }
        changed = {n: g.lab_set for n, g in here.db_parameter_groups.items() if getattr(g, "lab_set", None)}
        if changed:
            place["parameters"] = changed
        if here.clusters:
            place["clusters"] = {n: cluster(c) for n, c in here.clusters.items()}
        if any(place.values()):
            found[region] = place
    if account.globals:
        found["global"] = {name: each.state() for name, each in account.globals.items()}
    return found


def cluster(cluster):
    return {
        "status": cluster.status, "engine": f"{cluster.engine} {cluster.engine_version}",
        "from": getattr(cluster, "lab_from", None), "subnet_group": cluster.db_subnet_group_name,
        "parameter_group": cluster.parameter_group, "security_groups": list(cluster.vpc_security_group_ids or []),
        "members": sorted(member.db_instance_identifier for member in cluster._members),
        "deletion_protection": bool(cluster.deletion_protection), "tags": tags(cluster),
    }  # fmt: skip


def instance(database):
    group = getattr(database, "db_subnet_group", None)
    found = {
        "class": database.db_instance_class,
        "status": database.status,
        "engine": f"{database.engine} {database.engine_version}",
        "multi_az": database.multi_az,
        "public": bool(database.publicly_accessible),
        "deletion_protection": database.deletion_protection,
        "backup_retention": database.backup_retention_period,
        "storage": [database.allocated_storage, database.storage_type],
        "encrypted": database.storage_encrypted,
        "subnet_group": getattr(group, "name", None),
        "parameter_group": database.db_parameter_group_name,
        "security_groups": list(database.vpc_security_group_ids),
        "endpoint": (database.endpoint or {}).get("Address"),
        "from_snapshot": getattr(database, "lab_snapshot", None),
        "restored_to": getattr(database, "lab_restored_to", None),
        "replica_of": database.source_db_instance_identifier,
        "promoting": getattr(database, "lab_promoting", False),
        "pending": getattr(database, "lab_pending", {}) or {},
        "tags": tags(database),
    }
    if getattr(database, "lab_restarted_early", False):
        found["restarted_early"] = True
    return found


def snapshot_state(snapshot: DBSnapshot):
    return {
        "status": snapshot.status,
        "of": snapshot.db_instance_identifier,
        "engine": f"{snapshot.engine} {snapshot.engine_version}",
        "tags": tags(snapshot),
    }
