"""The seed's Aurora global database, where one is asked for: a writer, and a cluster that follows."""

from . import bridge
from .patches import cloudwatch
from .patches.rds_global import Global

NAME = "ledger"
#: milliseconds behind, minute by minute, the newest last
LAGS = (210.0, 190.0, 1400.0, 230.0, 180.0, 250.0)


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
    account.globals[NAME] = Global(NAME, account.name, members, members[0])
    cloudwatch.measured(
        account.name, recovery, "AWS/RDS", "AuroraGlobalDBRPOLag",
        {"DBClusterIdentifier": f"{NAME}-{recovery}"}, LAGS,
    )  # fmt: skip
    return {"global_cluster": NAME, "global_target": f"{NAME}-{recovery}", "global_lag": int(LAGS[-1])}
