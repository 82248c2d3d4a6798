"""Aurora global databases: who writes, and how that moves.

moto keeps global clusters as a list and moves nothing. Here a move is asked
for in the region of its target, is seen as pending and then under way, and
when the writer has changed its instance still restarts for a while. Without
the word that data may be lost the old primary has to answer.
"""

from moto.rds.models import DBCluster

from .. import bridge
from . import operation, refuse
from .rds import settle

PENDING = "pending"

_designate = DBCluster.designate_writer


def designate(cluster):
    """moto gives every cluster a writer; one that only follows has none."""
    if not getattr(cluster, "lab_secondary", False):
        _designate(cluster)


DBCluster.designate_writer = designate


class Global:
    """A global cluster: members by ARN, of whom one writes."""

    def __init__(self, name, account, members, writer):
        self.name = name
        self.arn = f"arn:aws:rds::{account}:global-cluster:{name}"
        self.members = members
        self.writer = writer
        self.status = "available"
        self.moving = None
        self.behind = set()

    def told(self):
        readers = [arn for arn in self.members if arn != self.writer]
        return {
            "GlobalClusterIdentifier": self.name, "GlobalClusterArn": self.arn, "Status": self.status,
            "GlobalClusterResourceId": f"cluster-lab{self.name}", "Engine": "aurora-postgresql",
            "EngineVersion": "15.4", "StorageEncrypted": False, "DeletionProtection": False,
            "Endpoint": f"{self.name}.global-lab.global.rds.amazonaws.com",
            "GlobalClusterMembers": [
                {
                    "DBClusterArn": arn, "IsWriter": arn == self.writer,
                    "Readers": readers if arn == self.writer else [],
                    "SynchronizationStatus": "pending-resync" if arn in self.behind else "connected",
                }
                for arn in self.members
            ],
            "FailoverState": self.moving or {},
        }  # fmt: skip

    def state(self):
        return {"status": self.status, "writer": self.writer, "moving": self.moving}


def region_of(arn):
    return arn.split(":")[3]


def down(call, arn):
    return bool(call.lab.regions.mode(call.account, "rds", region_of(arn)))


def cluster_of(call, arn):
    return bridge.backend("rds", call.account, region_of(arn)).clusters[arn.rsplit(":", 1)[-1]]


def find(call):
    """The global cluster that is named, in a region where it has a member."""
    name = call.params["GlobalClusterIdentifier"]
    found = call.state.globals.get(name.lower())
    if found is None or call.region not in map(region_of, found.members):
        refuse("GlobalClusterNotFoundFault", f"Global cluster {name} not found.", 404)
    return found


@operation("rds", "DescribeGlobalClusters")
def describe(call):
    if call.params.get("GlobalClusterIdentifier"):
        found = [find(call)]
    else:
        found = [g for g in call.state.globals.values() if call.region in map(region_of, g.members)]
    for each in found:
        at = ("rds", "global", each.name)
        progress = call.state.under_way.get(at)
        if progress is not None:
            each.moving["Status"] = progress.stage()
            call.state.look(at)
        elif not any(down(call, arn) for arn in each.behind):
            each.behind.clear()
    return {"GlobalClusters": [each.told() for each in found]}


def writes(call, arn):
    """The instance of a cluster that writes, or will."""
    members = cluster_of(call, arn).members
    return members[0] if members else None


def move(call, lossy):
    """What both operations do; a loss of data is what tells them apart."""
    found, wanted = find(call), call.params["TargetDbClusterIdentifier"]
    if wanted not in found.members or region_of(wanted) != call.region:
        refuse("DBClusterNotFoundFault", f"DBCluster {wanted} not found.", 404)
    if found.moving or found.status != "available":
        refuse("InvalidGlobalClusterStateFault", f"Global cluster {found.name} is not in the available state.")
    if wanted == found.writer:
        refuse("InvalidGlobalClusterStateFault", f"{wanted} is the primary cluster of {found.name} already.")
    if writes(call, wanted) is None:
        refuse("InvalidDBClusterStateFault", f"DB cluster {wanted} has no instance.")
    if not lossy and (found.behind or any(down(call, arn) for arn in found.members)):
        refuse("InvalidGlobalClusterStateFault", f"Not every cluster of {found.name} is connected.")
    old, going = found.writer, "failing-over" if lossy else "switching-over"
    found.moving = {
        "Status": PENDING, "FromDbClusterArn": old, "ToDbClusterArn": wanted, "IsDataLossAllowed": lossy,
    }  # fmt: skip
    found.status = going

    def finish():
        found.writer, found.moving, found.status = wanted, None, "available"
        if lossy:
            found.behind = {arn for arn in found.members if arn != wanted}
        for arn in (old, wanted):
            cluster_of(call, arn).lab_secondary = arn == old
            writes(call, arn).is_cluster_writer = arn == wanted
        instance = writes(call, wanted)
        settle(call, instance, instance.db_instance_identifier, ("rebooting",))

    call.state.begin(("rds", "global", found.name), finish, (PENDING, going), looks=call.state.looks + 1)
    return {"GlobalCluster": found.told()}


@operation("rds", "FailoverGlobalCluster")
def failover(call):
    lossy, planned = call.params.get("AllowDataLoss"), call.params.get("Switchover")
    if lossy and planned:
        words = "AllowDataLoss and Switchover cannot be specified together."
        refuse("InvalidParameterCombination", words)
    return move(call, bool(lossy))


@operation("rds", "SwitchoverGlobalCluster")
def switchover(call):
    return move(call, False)
