"""What a preflight asks and moto does not know: offered classes, versions, quotas."""

from .. import bridge
from . import operation

FAMILIES = ("t3", "t4g", "m5", "m6g", "m6i", "m7g", "r5", "r6g", "r6i", "r7g")
SIZES = ("micro", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge")
VERSIONS = {"postgres": ("14.10", "15.4", "15.5", "16.1"), "mysql": ("8.0.35",)}


@operation("rds", "DescribeOrderableDBInstanceOptions")
def orderable(call):
    """Every class of the usual families in two zones; anything else is not offered."""
    engine = call.params["Engine"]
    wanted, version = call.params.get("DBInstanceClass"), call.params.get("EngineVersion")
    versions = [v for v in VERSIONS.get(engine, ()) if version in (None, v)]
    if wanted is None:
        names = ["db.t4g.medium", "db.r6g.large", "db.r6g.xlarge"]
    else:
        parts = wanted.split(".")
        good = len(parts) == 3 and parts[0] == "db" and parts[1] in FAMILIES and parts[2] in SIZES
        names = [wanted] if good else []
    zones = [{"Name": f"{call.region}{letter}"} for letter in "abc"]
    options = [
        {
            "Engine": engine, "EngineVersion": v, "DBInstanceClass": name, "LicenseModel": "postgresql-license",
            "AvailabilityZones": zones, "MultiAZCapable": True, "Vpc": True, "StorageType": "gp3",
            "SupportsStorageEncryption": True, "ReadReplicaCapable": True,
        }
        for v in versions
        for name in names
    ]  # fmt: skip
    return {"OrderableDBInstanceOptions": options}


@operation("rds", "DescribeDBEngineVersions")
def engine_versions(call):
    engine, version = call.params.get("Engine") or "postgres", call.params.get("EngineVersion")
    found = [
        {
            "Engine": engine, "EngineVersion": v, "Status": "available",
            "DBParameterGroupFamily": f"{engine}{v.split('.')[0]}",
        }
        for v in VERSIONS.get(engine, ())
        if version in (None, v)
    ]  # fmt: skip
    return {"DBEngineVersions": found}


@operation("rds", "DescribeAccountAttributes")
def quotas(call):
    here = bridge.backend("rds", call.account, call.region)
    used = {
        "DBInstances": (len(here.databases), 40),
        "ManualSnapshots": (len(here.database_snapshots), 100),
        "AllocatedStorage": (sum(d.allocated_storage for d in here.databases.values()), 100000),
        "DBParameterGroups": (len(here.db_parameter_groups), 50),
        "DBSubnetGroups": (len(here.subnet_groups), 50),
    }
    return {
        "AccountQuotas": [
            {"AccountQuotaName": name, "Used": now, "Max": most} for name, (now, most) in used.items()
        ]
    }
