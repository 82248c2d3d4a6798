"""The seed's databases and tables."""

import time
from datetime import timedelta

from moto.core.utils import utcnow
from moto.rds.models import DBSnapshot

from . import bridge
from .patches import rds, rds_pitr

#: minutes since the data in each snapshot was current, and since it was copied
#: here: the oldest was copied last, so the creation time misleads
SNAPSHOTS = (("a10", 10, 8), ("b70", 70, 65), ("c130", 130, 2))


def databases(account, primary, recovery):
    """Two databases in the primary, their snapshots in the recovery region."""
    home = bridge.backend("rds", account.name, primary)
    away = bridge.backend("rds", account.name, recovery)
    group = network(account, away, recovery)
    now = utcnow()
    names = {}
    for source in ("orders", "users"):
        database = home.create_db_instance(
            {
                "db_instance_identifier": source, "db_instance_class": "db.r6g.large",
                "engine": "postgres", "engine_version": "15.4", "allocated_storage": 100,
                "storage_type": "gp3", "master_username": "lab", "master_user_password": "not-a-secret",
                "multi_az": True, "deletion_protection": True, "backup_retention_period": 7,
                "tags": [{"Key": "service", "Value": source}], "storage_encrypted": False,
            }
        )  # fmt: skip
        database.dbi_resource_id = f"db-LAB{account.name}{source.upper()}"
        rds_pitr.plant(away, account.name, recovery, primary, database)
        for label, data, copied in SNAPSHOTS:
            names[label] = f"{source}-2026-{label}"
            plant(away, database, names[label], now - timedelta(minutes=data), now - timedelta(minutes=copied))
        # In the primary there is a newer one, which nobody has copied.
        plant(home, database, f"{source}-2026-h05", now - timedelta(minutes=5), now - timedelta(minutes=5))
        names["creating"] = f"{source}-2026-d00"
        plant(away, database, names["creating"], now, now, "creating")
        for label, name in dict(names).items():
            names[f"{source}_{label}"] = name
    return {
        "db_orders": "orders", "db_users": "users", "db_class": "db.r6g.large",
        "subnet_group": "dr-private", "parameter_group": "dr-pg15", "security_group_id": group,
        "snapshot_orders_newest": names["orders_a10"], "snapshot_users_newest": names["users_a10"],
        "snapshot_orders_creating": names["orders_creating"],
    }  # fmt: skip


def network(account, away, region):
    """Where a restored database may live; gives the security group's id."""
    cloud = bridge.backend("ec2", account.name, region)
    vpc = cloud.default_vpc
    subnets = [s for s in cloud.describe_subnets() if s.vpc_id == vpc.id][:3]
    away.create_subnet_group("dr-private", "for restored databases", subnets, [])
    away.create_db_parameter_group(
        {
            "db_parameter_group_name": "dr-pg15", "db_parameter_group_family": "postgres15",
            "description": "for restored databases", "tags": [],
        }
    )  # fmt: skip
    return cloud.create_security_group("dr-db", "restored databases", vpc.id).id


def plant(away, database, name, data, copied, status="available"):
    snapshot = DBSnapshot(away, database, name, original_created_at=data + timedelta(seconds=20))
    snapshot.created = copied
    snapshot.snapshot_database_time = data
    rds.came_from(snapshot, database.db_instance_arn.replace(":db:", ":snapshot:"), away.region_name)
    snapshot.status = status
    snapshot.tags = [{"Key": "source", "Value": database.db_instance_identifier}]
    away.database_snapshots[name] = snapshot


TABLES = {
    "sessions": ("session", None, "expires"),
    "carts": ("customer", "item", "until"),
}


def tables(account, primary, recovery):
    """Tables in the primary, their replicas in the recovery region, and backups of those."""
    for name, (hash_key, range_key, ttl) in TABLES.items():
        for region in (primary, recovery):
            make_table(bridge.backend("dynamodb", account.name, region), name, hash_key, range_key, ttl)
    here = bridge.backend("dynamodb", account.name, recovery)
    now = utcnow()
    newest = {}
    for name in TABLES:
        for label, minutes in (("a15", 15), ("b75", 75)):
            backup = here.create_backup(name, f"{name}-2026-{label}")
            del here.backups[backup.arn]
            backup.creation_date_time = now - timedelta(minutes=minutes)
            backup.identifier = backup._make_identifier()
            here.backups[backup.arn] = backup
            newest.setdefault(name, backup.name)
        # what was written after the last backup is what the restore must not bring back
        here.put_item(name, item(name, 99, "after the backup"))
    return {
        "table_sessions": "sessions", "table_carts": "carts",
        "ttl_sessions": "expires", "ttl_carts": "until",
        "backup_sessions_newest": newest["sessions"], "backup_carts_newest": newest["carts"],
        "stream_view_type": "NEW_AND_OLD_IMAGES",
    }  # fmt: skip


def make_table(here, name, hash_key, range_key, ttl):
    keys = [("HASH", hash_key), *([("RANGE", range_key)] if range_key else [])]
    table = here.create_table(
        name,
        schema=[{"AttributeName": k, "KeyType": kind} for kind, k in keys],
        attr=[{"AttributeName": k, "AttributeType": "S"} for _, k in keys],
        throughput=None, billing_mode="PAY_PER_REQUEST", global_indexes=[], indexes=[],
        streams={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        sse_specification=None, deletion_protection_enabled=False, warm_throughput=None,
        tags=[{"Key": "service", "Value": "shop"}, {"Key": "table", "Value": name}],
    )  # fmt: skip
    table.ttl = {"TimeToLiveStatus": "ENABLED", "AttributeName": ttl}
    here.update_continuous_backups(name, {"PointInTimeRecoveryEnabled": True})
    week_ago = int(time.time()) - 7 * 86400
    table.continuous_backups["PointInTimeRecoveryDescription"]["EarliestRestorableDateTime"] = week_ago
    for number in range(20):
        here.put_item(name, item(name, number, "before"))
    return table


def item(name, number, note):
    hash_key, range_key, ttl = TABLES[name]
    found = {
        hash_key: {"S": f"{hash_key}-{number:04d}"}, ttl: {"N": "1900000000"},
        "note": {"S": note}, "odd": {"M": {"ünï": {"L": [{"BOOL": True}, {"NULL": True}]}}},
    }  # fmt: skip
    if range_key:
        found[range_key] = {"S": f"{range_key}-{number % 7}"}
    return found
