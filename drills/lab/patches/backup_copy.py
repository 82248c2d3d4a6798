"""AWS Backup: jobs that copy a recovery point into another vault, of any region or account.

A copy is asked for where the vault is that it comes from, once per idempotency
token. What is wrong with the vault that it goes to shows in the job's result,
not in the answer. The copy keeps the original's creation date, and can be
restored where it is.
"""

import copy
import uuid

from moto.core.utils import utcnow

from . import operation, refuse
from .backup import kept, point, shown, since

#: how long cold storage holds at least, in days
COLD_MIN = 90


def place(arn):
    """(region, account, name) of a vault, refused where it is not the ARN of one."""
    parts = arn.split(":")
    if len(parts) != 7 or parts[2] != "backup" or parts[5] != "backup-vault" or not all(parts[3:5] + parts[6:]):
        refuse("InvalidParameterValueException", f"Invalid destination backup vault ARN: {arn}")
    return parts[3], parts[4], parts[6]


@operation("backup", "StartCopyJob")
def start(call):
    params, all_of_it = call.params, kept(call.state)
    key = (call.region, "copy", params.get("IdempotencyToken"))
    if key[2] and key in all_of_it.asked:
        return begun(all_of_it.copies[all_of_it.asked[key]])
    source, arn, target = params["SourceBackupVaultName"], params["RecoveryPointArn"], params["DestinationBackupVaultArn"]
    found = point(call, source, arn)
    if found["Status"] != "COMPLETED":
        refuse("InvalidRequestException", f"Recovery point {arn} is {found['Status']}")
    if place(target) == (call.region, call.account, source):
        refuse("InvalidRequestException", "Source and destination vault are the same.")
    days = params.get("Lifecycle") or {}
    cold, delete = days.get("MoveToColdStorageAfterDays"), days.get("DeleteAfterDays")
    if cold and delete and delete < cold + COLD_MIN:
        refuse("InvalidParameterValueException", f"DeleteAfterDays must be at least {COLD_MIN} days after cold storage")
    job = {
        "CopyJobId": str(uuid.uuid4()), "AccountId": call.account, "SourceRecoveryPointArn": arn,
        "SourceBackupVaultArn": found["BackupVaultArn"], "DestinationBackupVaultArn": target, "State": "CREATED",
        "ResourceArn": found["ResourceArn"], "ResourceType": found["ResourceType"], "CreationDate": utcnow(),
        "IamRoleArn": params["IamRoleArn"], "lab_region": call.region, "lab_lifecycle": days or None,
    }  # fmt: skip
    all_of_it.copies[job["CopyJobId"]] = job
    if key[2]:
        all_of_it.asked[key] = job["CopyJobId"]
    call.state.begin(("copy-job", job["CopyJobId"]), lambda: finish(call.lab, job, found))
    return begun(job)


def begun(job):
    return {"CopyJobId": job["CopyJobId"], "CreationDate": job["CreationDate"], "IsParent": False}


def finish(lab, job, found):
    """Puts the copy where it belongs; gives the job what is in the way."""
    region, account, name = place(job["DestinationBackupVaultArn"])
    there = lab.accounts.get(account)
    vault = kept(there).vaults.get((region, name)) if there else None
    job["CompletionDate"] = utcnow()
    if vault is None:
        job.update(State="FAILED", StatusMessage=f"Backup vault {job['DestinationBackupVaultArn']} does not exist")
        return
    arn = f"arn:aws:backup:{region}:{account}:recovery-point:{job['CopyJobId']}"
    made = copy.copy(found) | {
        "RecoveryPointArn": arn, "BackupVaultName": name, "BackupVaultArn": vault["arn"],
        "SourceBackupVaultArn": found["BackupVaultArn"],
    }  # fmt: skip
    vault["points"][arn] = made
    job.update(State="COMPLETED", DestinationRecoveryPointArn=arn)


@operation("backup", "DescribeCopyJob")
def describe(call):
    wanted = call.params["CopyJobId"]
    call.state.look(("copy-job", wanted))
    job = kept(call.state).copies.get(wanted)
    if job is None or job["lab_region"] != call.region:
        refuse("ResourceNotFoundException", f"Copy job {wanted} does not exist")
    progress = call.state.under_way.get(("copy-job", wanted))
    if progress:
        job["State"] = "RUNNING" if progress.seen > 1 else "CREATED"
    return {"CopyJob": shown(job)}


@operation("backup", "ListCopyJobs")
def jobs(call):
    asked = {"ByResourceArn": "ResourceArn", "ByDestinationVaultArn": "DestinationBackupVaultArn", "ByState": "State"}
    found = since(call, kept(call.state).copies)
    for name, field in asked.items():
        found = [job for job in found if call.params.get(name) in (None, job[field])]
    return {"CopyJobs": [shown(job) for job in found]}
