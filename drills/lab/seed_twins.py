"""Where they are asked for: stores of the recovery region that have the names of those that are lost."""

from datetime import timedelta

from moto.core.utils import utcnow

from . import bridge
from .patches import rds_cluster, rds_pitr
from .seed_aurora import NAME
from .seed_data import plant


def twins(account, primary, recovery, aurora):
    """An `orders` that lives, and the primary's cluster by name: the data of both is newer than what was copied."""
    here, now = bridge.backend("rds", account.name, recovery), utcnow()
    database = here.create_db_instance(
        {
            "db_instance_identifier": "orders", "db_instance_class": "db.t4g.micro", "engine": "postgres",
            "engine_version": "15.4", "allocated_storage": 20, "master_username": "lab",
            "master_user_password": "not-a-secret", "backup_retention_period": 7,
        }
    )  # fmt: skip
    database.dbi_resource_id = f"db-LAB{account.name}TWIN"
    rds_pitr.plant_own(here, recovery, database)
    at = now - timedelta(minutes=2)
    plant(here, database, "orders-twin", at, at)
    if aurora:
        cluster = here.create_db_cluster(
            {
                "db_cluster_identifier": f"{NAME}-{primary}", "engine": "aurora-postgresql",
                "engine_version": "15.4", "master_username": "lab", "master_user_password": "not-a-secret",
            }
        )  # fmt: skip
        cluster.status = "available"
        snapshot = rds_cluster.Snapshot("ledger-twin", recovery, account.name, cluster, now)
        rds_cluster.snapshots(here)[snapshot.name] = snapshot
    return {"twin_orders": database.dbi_resource_id}
