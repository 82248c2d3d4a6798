"""The seed's Aurora global database, where one is asked for: a writer, and a cluster that follows."""

from datetime import timedelta

from moto.core.utils import utcnow

from . import bridge
from .patches import cloudwatch, rds_cluster
from .patches.rds_global import Global

NAME = "ledger"
#: milliseconds behind, minute by minute, the newest last
LAGS = (210.0, 190.0, 1400.0, 230.0, 180.0, 250.0)


#: label, minutes since it was taken, its status
SNAPSHOTS = (("a10", 10, "available"), ("b70", 70, "available"), ("d00", 0, "creating"))


def database(account, primary, recovery):
    """`ledger`, written in the primary region, followed in the recovery region."""
    members = []
    for region, secondary in ((primary, False), (recovery, True)):
        here, name = bridge.backend("rds", account.name, region), f"{NAME}-{region}"
        cluster = here.create_db_cluster(
            {
                "db_cluster_identifier": name, "engine": "aurora-postgresql", "engine_version": "15.4",
                "master_username": "lab", "master_user_password": "not-a-secret", "vpc_security_group_ids": [],
            }
        )  # fmt: skip
        cluster.status, cluster.lab_secondary = "available", secondary
        instance = here.create_db_instance(
            {
                "db_instance_identifier": f"{name}-1", "db_instance_class": "db.r6g.large",
                "engine": "aurora-postgresql", "db_cluster_identifier": name,
            }
        )  # fmt: skip
        instance.is_cluster_writer = not secondary
        members.append(cluster.db_cluster_arn)
        cluster.earliest_restorable_time = utcnow() - timedelta(days=7)
        if secondary:
            kept(account, region, cluster, members[0])
    account.globals[NAME] = Global(NAME, account.name, members, members[0])
    cloudwatch.measured(
        account.name, recovery, "AWS/RDS", "AuroraGlobalDBRPOLag",
        {"DBClusterIdentifier": f"{NAME}-{recovery}", "SourceRegion": primary}, LAGS,
    )  # fmt: skip
    return {"global_cluster": NAME, "global_target": f"{NAME}-{recovery}", "global_lag": int(LAGS[-1])}


def kept(account, region, cluster, primary):
    """What a cluster can be restored from: snapshots of its own, and the copy of one of the primary's."""
    here, now = bridge.backend("rds", account.name, region), utcnow()
    here.create_db_cluster_parameter_group("dr-aurora-pg15", "aurora-postgresql15", "for restored clusters", [])
    snapshots = rds_cluster.snapshots(here)
    for label, minutes, status in SNAPSHOTS:
        name, at = f"{NAME}-2026-{label}", now - timedelta(minutes=minutes)
        snapshots[name] = rds_cluster.Snapshot(name, region, account.name, cluster, at, status)
    home = bridge.backend("rds", account.name, primary.split(":")[3]).clusters[primary.rsplit(":", 1)[-1]]
    source = primary.replace(":cluster:", ":cluster-snapshot:")
    name = f"{NAME}-2026-copy"
    snapshots[name] = rds_cluster.Snapshot(name, region, account.name, home, now, source=f"{source}-2026-h05")
