"""Aurora clusters: restored without instances, in time, and deleted when they have none.

moto restores at once, to any moment, keeps what the source had where AWS takes
a default, and lets a cluster say that it is available when it is asked twice.
"""

from datetime import datetime, timedelta, timezone

from moto.rds.models import DBCluster

from .. import bridge
from . import operation, rds, refuse
from .rds import check_groups, check_identifier, key, short, store

#: how far the newest moment that can be restored is behind (User Guide: usually within five minutes)
LAG = timedelta(minutes=4)
FINAL = "FinalDBSnapshotIdentifier"

DBCluster.status = property(lambda self: self._status, lambda self, value: setattr(self, "_status", value))
DBCluster.latest_restorable_time = property(lambda _: datetime.now(timezone.utc).replace(microsecond=0) - LAG)


class Snapshot:
    """A snapshot of a cluster, as data."""

    def __init__(self, name, region, account, cluster, at, status="available", source=None, key=None):
        self.name = name
        self.cluster = cluster
        self.told = {
            "DBClusterSnapshotIdentifier": name, "DBClusterIdentifier": cluster.db_cluster_identifier,
            "DBClusterSnapshotArn": f"arn:aws:rds:{region}:{account}:cluster-snapshot:{name}",
            "SnapshotCreateTime": at, "Status": status, "Engine": cluster.engine,
            "EngineVersion": cluster.engine_version, "SourceDBClusterSnapshotArn": source,
            "DbClusterResourceId": cluster.db_cluster_resource_id, "StorageEncrypted": key is not None, "KmsKeyId": key, "SnapshotType": "manual",
        }  # fmt: skip


def snapshots(here):
    """The snapshots of clusters that stand in a region, by name."""
    return here.__dict__.setdefault("lab_cluster_snapshots", {})


@operation("rds", "DescribeDBClusterSnapshots")
def describe_snapshots(call):
    params, found = call.params, list(snapshots(store(call)).values())
    wanted, cluster = params.get("DBClusterSnapshotIdentifier"), params.get("DBClusterIdentifier")
    if wanted:
        found = [each for each in found if each.name == short(wanted)]
        if not found:
            refuse("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot not found: {wanted}", 404)
    if cluster:
        found = [each for each in found if each.cluster.db_cluster_identifier == short(cluster)]
    return {"DBClusterSnapshots": [{k: v for k, v in each.told.items() if v is not None} for each in found]}


@operation("rds", "DescribeDBClusters")
def describe(call):
    here, name = store(call), call.params.get("DBClusterIdentifier")
    for each in [short(name)] if name else list(here.clusters):
        call.state.look(key(call, "cluster", each))
        cluster = here.clusters.get(each)
        if cluster is not None and cluster.status == "creating":
            if key(call, "cluster", each) not in call.state.under_way:
                cluster.status = "available"
    return bridge.dispatch(call)


def new(call, source):
    """A cluster as it was asked for, and where it was not asked, as AWS defaults; without instances."""
    params, here = call.params, store(call)
    name = params["DBClusterIdentifier"]
    check_identifier(name, "DBClusterIdentifier")
    if name.lower() in here.clusters:
        refuse("DBClusterAlreadyExistsFault", f"DB Cluster {name} already exists.")
    group = params.get("DBClusterParameterGroupName")
    if group and group not in here.db_cluster_parameter_groups and not group.startswith("default."):
        refuse("DBClusterParameterGroupNotFound", f"DBClusterParameterGroup not found: {group}", 404)
    check_groups(call, source.engine, source.engine_version)
    cluster = here.create_db_cluster(
        {
            "db_cluster_identifier": name.lower(), "engine": source.engine, "engine_version": source.engine_version,
            "master_username": "lab", "master_user_password": "not-a-secret",
            "db_subnet_group_name": params.get("DBSubnetGroupName"), "tags": params.get("Tags") or [],
            "db_cluster_parameter_group_name": group, "deletion_protection": params.get("DeletionProtection", False),
            "vpc_security_group_ids": list(params.get("VpcSecurityGroupIds") or []),
            "kms_key_id": params.get("KmsKeyId"), "storage_encrypted": bool(params.get("KmsKeyId")),
        }
    )  # fmt: skip
    cluster.status = "creating"

    def finish():
        cluster.status = "available"

    call.state.begin(key(call, "cluster", name.lower()), finish)
    return cluster


@operation("rds", "RestoreDBClusterFromSnapshot")
def restore_snapshot(call):
    wanted = call.params["SnapshotIdentifier"]
    snapshot = snapshots(store(call)).get(short(wanted))
    if snapshot is None or (wanted.startswith("arn:") and wanted != snapshot.told["DBClusterSnapshotArn"]):
        refuse("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot not found: {wanted}", 404)
    if snapshot.told["Status"] != "available":
        refuse("InvalidDBClusterSnapshotStateFault", f"{wanted} is not in the available state.")
    if call.params["Engine"] != snapshot.cluster.engine:
        refuse("InvalidParameterCombination", f"The engine of {wanted} is {snapshot.cluster.engine}.")
    cluster = new(call, snapshot.cluster)
    cluster.lab_from = snapshot.name
    return {"DBCluster": cluster}


@operation("rds", "RestoreDBClusterToPointInTime")
def restore_moment(call):
    params, here = call.params, store(call)
    wanted = params.get("SourceDBClusterIdentifier") or ""
    source = here.clusters.get(short(wanted))
    if source is None or (wanted.startswith("arn:") and wanted != source.db_cluster_arn):
        refuse("DBClusterNotFoundFault", f"DBCluster {wanted} not found.", 404)
    at, latest = params.get("RestoreToTime"), params.get("UseLatestRestorableTime")
    if bool(at) == bool(latest):
        refuse("InvalidParameterCombination", "One of RestoreToTime and UseLatestRestorableTime has to be specified.")
    if at:
        at = at if isinstance(at, datetime) else datetime.fromisoformat(str(at).replace("Z", "+00:00"))
        at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
        newest = datetime.now(timezone.utc) - LAG
        oldest = source.earliest_restorable_time
        oldest = oldest if oldest.tzinfo else oldest.replace(tzinfo=timezone.utc)
        if not oldest <= at <= newest:
            refuse("InvalidParameterValue", f"{wanted} cannot be restored to {at}: from {oldest} to {newest} it can.")
    cluster = new(call, source)
    cluster.lab_from = f"{source.db_cluster_identifier} at {at}"
    return {"DBCluster": cluster}


@operation("rds", "CreateDBInstance")
def create_instance(call):
    """An instance of a cluster: only of one that is there, and of its engine."""
    name = call.params.get("DBClusterIdentifier")
    if name is None:
        return rds.create(call)
    cluster = store(call).clusters.get(short(name))
    if cluster is None:
        refuse("DBClusterNotFoundFault", f"DBCluster {name} not found.", 404)
    if call.params["DBInstanceIdentifier"].lower() in store(call).databases:
        refuse("DBInstanceAlreadyExists", "DB instance already exists")
    if cluster.status != "available":
        refuse("InvalidDBClusterStateFault", f"DB cluster {name} is not in the available state.")
    if call.params.get("Engine") != cluster.engine:
        refuse("InvalidParameterCombination", f"The engine of {name} is {cluster.engine}.")
    answer = rds.create(call)
    if isinstance(answer, dict):
        answer["DBInstance"].tags = list(call.params.get("Tags") or [])
    return answer


@operation("rds", "DeleteDBCluster")
def delete(call):
    params, here = call.params, store(call)
    name = short(params["DBClusterIdentifier"])
    cluster = here.clusters.get(name)
    if cluster is None:
        refuse("DBClusterNotFoundFault", f"DBCluster {name} not found.", 404)
    if cluster.deletion_protection:
        words = "Cannot delete protected Cluster, please disable deletion protection and try again."
        refuse("InvalidParameterCombination", words)
    if bool(params.get("SkipFinalSnapshot")) == bool(params.get(FINAL)):
        refuse("InvalidParameterCombination", f"One of {FINAL} and SkipFinalSnapshot has to be specified.")
    if cluster.status == "deleting":
        refuse("InvalidDBClusterStateFault", f"Cluster {name} is already being deleted.")
    if any(member.status != "deleting" for member in cluster._members):
        words = "Cluster cannot be deleted, it still contains DB instances in non-deleting state."
        refuse("InvalidDBClusterStateFault", words)
    cluster.status = "deleting"
    call.state.begin(key(call, "cluster", name), lambda: here.clusters.pop(name, None))
    return {"DBCluster": cluster}
