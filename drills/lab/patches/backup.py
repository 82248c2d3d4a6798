"""AWS Backup: vaults with recovery points, and jobs that restore one.

moto knows vaults and plans alone. Here a vault holds recovery points of what
lived in the primary region, and a restore job of a table makes that table: it
is asked for once per idempotency token, takes its looks, and fails in its
result, not in its answer, as AWS does.
"""

import copy
import uuid
from datetime import datetime, timezone

from moto.core.utils import utcnow

from .. import bridge
from . import operation, refuse
from .dynamodb import short

#: what a restore of each type of resource must be told (AWS Backup Developer Guide, Restoring a backup)
WANTED = {"DynamoDB": ("targetTableName",)}


class Backups:
    """What AWS Backup keeps of one account."""

    def __init__(self):
        self.vaults = {}
        self.jobs = {}
        self.copies = {}
        self.asked = {}


def kept(state):
    """The account's backups; made at the first use."""
    return state.__dict__.setdefault("backups", Backups())


def vault(call, name):
    found = kept(call.state).vaults.get((call.region, name))
    if found is None:
        refuse("ResourceNotFoundException", f"Backup vault {name} does not exist")
    return found


def point(call, name, arn):
    found = vault(call, name)["points"].get(arn)
    if found is None:
        refuse("ResourceNotFoundException", f"Recovery point {arn} does not exist")
    return found


@operation("backup", "ListRecoveryPointsByBackupVault")
def points(call):
    found = vault(call, call.params["BackupVaultName"])["points"].values()
    wanted = call.params.get("ByResourceArn")
    listed = [shown(each) for each in found if wanted in (None, each["ResourceArn"])]
    # The newest is not the first, and a page is short: whoever takes the first takes the wrong one.
    listed.sort(key=lambda each: each["CreationDate"])
    first = int(call.params.get("NextToken") or 0)
    page = listed[first : first + 2]
    more = {"NextToken": str(first + 2)} if first + 2 < len(listed) else {}
    return {"RecoveryPoints": page} | more


@operation("backup", "DescribeRecoveryPoint")
def describe_point(call):
    return shown(point(call, call.params["BackupVaultName"], call.params["RecoveryPointArn"]))


def shown(found):
    return {name: value for name, value in found.items() if not name.startswith("lab_")}


@operation("backup", "GetRecoveryPointRestoreMetadata")
def metadata(call):
    found = point(call, call.params["BackupVaultName"], call.params["RecoveryPointArn"])
    return {
        "BackupVaultArn": found["BackupVaultArn"], "RecoveryPointArn": found["RecoveryPointArn"],
        "RestoreMetadata": found["lab_metadata"], "ResourceType": found["ResourceType"],
    }  # fmt: skip


@operation("backup", "StartRestoreJob")
def start(call):
    params, all_of_it = call.params, kept(call.state)
    token = params.get("IdempotencyToken")
    if token and (call.region, token) in all_of_it.asked:
        return {"RestoreJobId": all_of_it.asked[(call.region, token)]}
    arn, told = params["RecoveryPointArn"], dict(params["Metadata"])
    found = next((each["points"][arn] for each in in_region(call) if arn in each["points"]), None)
    if found is None:
        refuse("ResourceNotFoundException", f"Recovery point {arn} does not exist")
    if found["Status"] not in ("COMPLETED", "AVAILABLE"):
        refuse("InvalidRequestException", f"Recovery point {arn} is {found['Status']}")
    if not params.get("IamRoleArn"):
        refuse("InvalidParameterValueException", "Invalid IAM role: null")
    for name in WANTED.get(found["ResourceType"], ()):
        if not told.get(name):
            refuse("InvalidParameterValueException", f"Metadata key {name} is missing for {found['ResourceType']}")
    job = {
        "RestoreJobId": str(uuid.uuid4()), "AccountId": call.account, "RecoveryPointArn": arn,
        "SourceResourceArn": found["ResourceArn"], "ResourceType": found["ResourceType"], "Status": "PENDING",
        "PercentDone": "0.00%", "CreationDate": utcnow(), "IamRoleArn": params["IamRoleArn"],
        "RecoveryPointCreationDate": found["CreationDate"], "BackupVaultArn": found["BackupVaultArn"],
        "lab_region": call.region, "lab_metadata": told,
    }  # fmt: skip
    all_of_it.jobs[job["RestoreJobId"]] = job
    if token:
        all_of_it.asked[(call.region, token)] = job["RestoreJobId"]

    def finish():
        trouble = made(call, found, told)
        if trouble:
            job.update(Status="FAILED", StatusMessage=trouble)
        else:
            name = told["targetTableName"]
            created = f"arn:aws:dynamodb:{call.region}:{call.account}:table/{name}"
            job.update(Status="COMPLETED", PercentDone="100.00%", CreatedResourceArn=created)
        job["CompletionDate"] = utcnow()

    call.state.begin(("restore-job", job["RestoreJobId"]), finish)
    return {"RestoreJobId": job["RestoreJobId"]}


def in_region(call):
    return [each for (region, _), each in kept(call.state).vaults.items() if region == call.region]


def made(call, found, told):
    """Makes the table; gives what is in the way."""
    here, name = bridge.backend("dynamodb", call.account, call.region), told["targetTableName"]
    if name in here.tables:
        return f"Table already exists: {name}"
    table = copy.copy(found["lab_table"])
    here.create_table(
        name, schema=table.schema, attr=table.attr, throughput=None, billing_mode="PAY_PER_REQUEST",
        global_indexes=[], indexes=[], streams={}, sse_specification=None, deletion_protection_enabled=False,
        warm_throughput=None, tags=[],
    ).items = copy.deepcopy(table.items)  # fmt: skip
    return None


@operation("backup", "DescribeRestoreJob")
def describe_job(call):
    wanted = call.params["RestoreJobId"]
    call.state.look(("restore-job", wanted))
    job = kept(call.state).jobs.get(wanted)
    if job is None or job["lab_region"] != call.region:
        refuse("ResourceNotFoundException", f"Restore job {wanted} does not exist")
    progress = call.state.under_way.get(("restore-job", wanted))
    if progress and job["Status"] in ("PENDING", "RUNNING"):
        job.update(Status="RUNNING" if progress.seen > 1 else "PENDING", PercentDone=f"{progress.part() * 100:.2f}%")
    return shown(job)


@operation("backup", "ListRestoreJobs")
def list_jobs(call):
    return {"RestoreJobs": [shown(job) for job in since(call, kept(call.state).jobs)]}


def since(call, jobs):
    """The jobs of the region, since the moment that is asked for, if one is."""
    moment = call.params.get("ByCreatedAfter")
    jobs = [job for job in jobs.values() if job["lab_region"] == call.region]
    if moment is None:
        return jobs
    moment = moment if isinstance(moment, datetime) else datetime.fromtimestamp(float(moment), timezone.utc)
    naive = moment.astimezone(timezone.utc).replace(tzinfo=None) if moment.tzinfo else moment
    return [job for job in jobs if job["CreationDate"] >= naive]


def state(account):
    """What a dump shows: jobs by what they made, since their ids are made up."""
    jobs = kept(account).jobs.values()
    shown_jobs = [
        {
            "region": job["lab_region"], "point": job["RecoveryPointArn"], "status": job["Status"],
            "metadata": job["lab_metadata"], "created": job.get("CreatedResourceArn"), "role": job["IamRoleArn"],
        }
        for job in jobs
    ]  # fmt: skip
    vaults = {
        f"{region} {name}": {arn: each["Status"] for arn, each in sorted(found["points"].items())}
        for (region, name), found in sorted(kept(account).vaults.items())
    }
    copies = [
        {
            "region": job["lab_region"], "point": job["SourceRecoveryPointArn"], "status": job["State"],
            "to": job["DestinationBackupVaultArn"], "role": job["IamRoleArn"], "lifecycle": job.get("lab_lifecycle"),
        }
        for job in kept(account).copies.values()
    ]  # fmt: skip
    return {"jobs": sorted(shown_jobs, key=str), "copies": sorted(copies, key=str), "vaults": vaults}


def plant(account_state, account, region, name, table, minutes, status="COMPLETED"):
    """A recovery point of a table, as old as is wanted."""
    from datetime import timedelta

    arn = f"arn:aws:backup:{region}:{account}:backup-vault:{name}"
    found = kept(account_state).vaults.setdefault((region, name), {"arn": arn, "points": {}})
    point_arn = f"arn:aws:backup:{region}:{account}:recovery-point:{short(table.table_arn)}-{minutes}"
    found["points"][point_arn] = {
        "RecoveryPointArn": point_arn, "BackupVaultName": name, "BackupVaultArn": arn, "Status": status,
        "ResourceArn": table.table_arn, "ResourceType": "DynamoDB", "CreationDate": utcnow() - timedelta(minutes=minutes),
        "IsEncrypted": False, "ResourceName": table.name,
        "lab_metadata": {"originalTableName": table.name, "encryptionType": "Default"}, "lab_table": copy.copy(table),
    }  # fmt: skip
    found["points"][point_arn]["lab_table"].items = copy.deepcopy(table.items)
    return point_arn
