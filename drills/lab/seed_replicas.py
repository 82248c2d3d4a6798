"""The seed's read replica: one that follows its source, and the samples of how far it is behind."""

from datetime import timedelta

from . import bridge
from .patches import cloudwatch, rds_replica

#: seconds behind, minute by minute, the newest last
LAGS = (2.0, 3.0, 2.0, 2.0, 61.0, 9.0, 3.0, 2.0, 3.0, 4.0)
NAME = "orders-replica"


def replica(account, primary, recovery, security_group, encrypted=False):
    """A replica of `orders` in the recovery region, which everything there knows as available."""
    source = bridge.backend("rds", account.name, primary).databases["orders"]
    source.storage_encrypted = bool(encrypted)
    here = bridge.backend("rds", account.name, recovery)
    planted = rds_replica.replica_of(
        here, source,
        {
            "DBInstanceIdentifier": NAME, "SourceDBInstanceIdentifier": source.db_instance_arn,
            "DBSubnetGroupName": "dr-private", "DBParameterGroupName": "dr-pg15",
            "VpcSecurityGroupIds": [security_group],
        },
    )  # fmt: skip
    planted.instance_create_time -= timedelta(days=30)
    planted.dbi_resource_id = f"db-LAB{account.name}REPLICA"
    planted.multi_az, planted.deletion_protection = False, True
    planted.tags = [{"Key": "service", "Value": "orders"}]
    planted.lab_replication = "replicating"
    cloudwatch.measured(
        account.name, recovery, "AWS/RDS", "ReplicaLag", {"DBInstanceIdentifier": NAME}, LAGS
    )
    return {"db_replica": NAME, "db_replica_lag": int(LAGS[-1])}
