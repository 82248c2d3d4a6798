"""Cognito: pools, and import jobs that are made, filled at a signed URL, started, and run row by row.

A job waits for its file at a URL that is signed for 15 minutes and served as S3; when it runs it
really reads the file and makes the users of the pool, by the rules of the Amazon Cognito Developer
Guide ("Formatting the .csv file", "Interpreting the results").
"""

import hashlib
import re
import uuid
from datetime import timedelta
from urllib.parse import urlencode

from moto.core.utils import utcnow

from ..identity import STANDARD, Identity, user
from . import operation, refuse
from .s3_replication import put as put_object

#: how the buckets begin that files of imports go to
UPLOADS = "aws-cognito-idp-user-import-"
URL_SECONDS, JOB_SECONDS = 15 * 60, 24 * 3600
ACTIVE = ("Pending", "InProgress", "Stopping")
OWN = ("cognito:mfa_enabled", "cognito:username")
COLUMNS = (*STANDARD, *OWN)
PAGE = 2


def kept(state):
    """The account's pools and jobs; made at the first use."""
    return state.__dict__.setdefault("identity", Identity())


def pool_of(call):
    found = kept(call.state).pools.get((call.region, call.params["UserPoolId"]))
    if found is None:
        refuse("ResourceNotFoundException", f"User pool {call.params['UserPoolId']} does not exist.")
    return found


@operation("cognito-idp", "DescribeUserPool")
def describe_pool(call):
    return {"UserPool": pool_of(call).shown()}


@operation("cognito-idp", "ListUsers")
def users(call):
    return {"Users": [user(name, found) for name, found in sorted(pool_of(call).users.items())]}


@operation("cognito-idp", "GetCSVHeader")
def header(call):
    pool = pool_of(call)
    return {"UserPoolId": pool.id, "CSVHeader": list(COLUMNS)}


@operation("cognito-idp", "CreateUserImportJob")
def create(call):
    pool, imports = pool_of(call), kept(call.state)
    if imports.replicas.get(pool.id, {}).get(call.region, {}).get("role") == "SECONDARY":
        refuse("OperationNotEnabledException", "This operation is not supported in secondary replica regions.")
    age = imports.ages.pop(0) if imports.ages else 0
    job = {
        "JobName": call.params["JobName"], "JobId": f"import-{uuid.uuid4().hex[:10]}", "UserPoolId": pool.id,
        "CreationDate": utcnow() - timedelta(seconds=age), "Status": "Created", "ImportedUsers": 0, "SkippedUsers": 0,
        "FailedUsers": 0, "CloudWatchLogsRoleArn": call.params["CloudWatchLogsRoleArn"], "lab_region": call.region,
        "lab_file": None, "lab_signature": uuid.uuid4().hex,
    }  # fmt: skip
    if call.params.get("PasswordHashingAlgorithm"):
        job["PasswordHashingAlgorithm"] = call.params["PasswordHashingAlgorithm"]
    job["PreSignedUrl"] = signed(call, job)
    imports.jobs[job["JobId"]] = job
    return {"UserImportJob": shown(job)}


def signed(call, job):
    made = job["CreationDate"].strftime("%Y%m%dT%H%M%SZ")
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Date": made, "X-Amz-Expires": URL_SECONDS,
        "X-Amz-Credential": f"LAB{call.account}/{made[:8]}/{call.region}/s3/aws4_request",
        "X-Amz-SignedHeaders": "host;x-amz-server-side-encryption", "X-Amz-Signature": job["lab_signature"],
    }  # fmt: skip
    place = f"{UPLOADS}{call.region}/{call.account}/{job['UserPoolId']}/{job['JobId']}"
    return f"{call.lab.addresses['endpoint']}/{place}?{urlencode(query)}"


@operation("s3", "PutObject")
def upload(call):
    """A file of an import; all other objects go where they always went."""
    if not call.params["Bucket"].startswith(UPLOADS):
        return put_object(call)
    job = kept(call.state).jobs.get(call.params["Key"].rsplit("/", 1)[-1])
    if job is None or f"X-Amz-Signature={job['lab_signature']}" not in call.wire.query:
        refuse("SignatureDoesNotMatch", "The request signature we calculated does not match", 403)
    if call.wire.headers.get("x-amz-server-side-encryption") != "aws:kms":
        refuse("SignatureDoesNotMatch", "The request signature we calculated does not match", 403)
    if utcnow() > job["CreationDate"] + timedelta(seconds=URL_SECONDS):
        refuse("AccessDenied", "Request has expired", 403)
    job["lab_file"] = call.wire.body
    return {"ETag": f'"{hashlib.md5(call.wire.body).hexdigest()}"', "ServerSideEncryption": "aws:kms"}


def job_of(call):
    pool, job = pool_of(call), kept(call.state).jobs.get(call.params["JobId"])
    if job is None or job["UserPoolId"] != pool.id:
        refuse("ResourceNotFoundException", f"Import job {call.params['JobId']} does not exist.")
    aged(job)
    return pool, job


def aged(job):
    """A job that nobody started in a day is of no use any more."""
    if job["Status"] == "Created" and utcnow() > job["CreationDate"] + timedelta(seconds=JOB_SECONDS):
        job.update(Status="Expired", lab_file=None)


@operation("cognito-idp", "StartUserImportJob")
def start(call):
    pool, job = job_of(call)
    others = [one for one in kept(call.state).jobs.values() if one["lab_region"] == call.region]
    in_the_way = (
        (job["Status"] != "Created", f"Job is {job['Status']}, it can not be started."),
        (job["lab_file"] is None, "The CSV file of the job was not uploaded."),
        (not pool.verifies, "The user pool has no auto verified attributes."),
        (any(one["Status"] in ACTIVE for one in others), "Another import job is active."),
    )
    for is_so, words in in_the_way:
        if is_so:
            refuse("PreconditionNotMetException", words)
    job.update(Status="Pending", StartDate=utcnow())
    call.state.begin(("import", job["JobId"]), lambda: finish(pool, job))
    return {"UserImportJob": shown(job)}


@operation("cognito-idp", "StopUserImportJob")
def stop(call):
    _, job = job_of(call)
    if job["Status"] not in ("Pending", "InProgress"):
        refuse("PreconditionNotMetException", f"Job is {job['Status']}, it can not be stopped.")
    call.state.stop(("import", job["JobId"]))
    words = "The Import Job was stopped by the developer."
    job.update(Status="Stopped", CompletionDate=utcnow(), CompletionMessage=words)
    return {"UserImportJob": shown(job)}


@operation("cognito-idp", "DescribeUserImportJob")
def describe(call):
    _, job = job_of(call)
    call.state.look(("import", job["JobId"]))
    progress = call.state.under_way.get(("import", job["JobId"]))
    if progress and progress.seen > 1:
        job["Status"] = "InProgress"
    return {"UserImportJob": shown(job)}


@operation("cognito-idp", "ListUserImportJobs")
def listed(call):
    """Short pages, the newest first; a list is no look."""
    pool, first = pool_of(call), int(call.params.get("PaginationToken") or 0)
    jobs = [job for job in reversed(kept(call.state).jobs.values()) if job["UserPoolId"] == pool.id]
    for job in jobs:
        aged(job)
    most = min(call.params["MaxResults"], PAGE)
    more = {"PaginationToken": str(first + most)} if first + most < len(jobs) else {}
    return {"UserImportJobs": [shown(job) for job in jobs[first : first + most]]} | more


def shown(job):
    return {name: value for name, value in job.items() if not name.startswith("lab_")}


def values(row):
    """The values of a row: a comma behind a backslash is part of one."""
    return [part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", row)]


def finish(pool, job):
    """Reads the file and makes the users; a job of which nobody is new has failed."""
    job["CompletionDate"] = utcnow()
    rows = [values(row) for row in job["lab_file"].decode().splitlines() if row.strip()]
    names, hashes = rows[0], "PasswordHashingAlgorithm" in job
    odd = set(names) - set(COLUMNS)
    broken = set(COLUMNS) - set(names) or len(odd) != hashes or any(len(row) != len(names) for row in rows)
    if broken:
        job.update(Status="Failed", CompletionMessage="The CSV file could not be parsed.")
        return
    for row in rows[1:]:
        job[f"{became(pool, dict(zip(names, row, strict=True)), odd)}Users"] += 1
    if job["ImportedUsers"]:
        job["Status"] = "Succeeded"
    else:
        words = "Too many users have failed or been skipped during the import."
        job.update(Status="Failed", CompletionMessage=words)


def became(pool, row, odd):
    """What becomes of one row."""
    name = row["cognito:username"]
    if name in pool.users:
        return "Skipped"
    good = any(row[f"{each}_verified"].lower() == "true" and row[each] for each in pool.verifies)
    if not name or re.search(r"\s", name) or row["cognito:mfa_enabled"].lower() not in ("true", "false") or not good:
        return "Failed"
    status = "CONFIRMED" if any(row[each] for each in odd) else "RESET_REQUIRED"
    pool.put(name, status, {each: row[each] for each in STANDARD if row[each]})
    return "Imported"


def state(account):
    """What a dump shows: pools by name and jobs by theirs, since ids are made up."""
    found = {
        f"{region} {pool.name}": {
            name: {"status": each["status"], **{n: v for n, v in each["attributes"].items() if n != "sub"}}
            for name, each in sorted(pool.users.items())
        }
        for (region, _), pool in sorted(kept(account).pools.items())
    }
    jobs = [
        {
            # A digest of what is imported, which differs from run to run.
            "name": re.sub(r"-[0-9a-f]{16}-(\d+)$", r"-<digest>-\1", job["JobName"]), "status": job["Status"],
            "hashes": job.get("PasswordHashingAlgorithm"), "role": job["CloudWatchLogsRoleArn"],
            "counts": [job["ImportedUsers"], job["SkippedUsers"], job["FailedUsers"]],
            "file": job["lab_file"] and hashlib.sha256(job["lab_file"]).hexdigest(),
        }
        for job in kept(account).jobs.values()
    ]  # fmt: skip
    replicas = {
        kept(account).pools[(next(iter(regions)), pool)].name: {r: stands(each) for r, each in regions.items()}
        for pool, regions in kept(account).replicas.items()
    }
    return {"pools": found, "imports": sorted(jobs, key=str), "replicas": replicas}


def stands(replica):
    """The role and status of a replica, and what it is on its way to."""
    way = f" -> {replica['wanted']}" if "wanted" in replica else ""
    return f"{replica['role']} {replica['status']}{way}"
