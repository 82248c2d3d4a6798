"""Replication between buckets: rules, and what was written since brought over in its own time.

moto keeps rules and acts on none. Here each version that a rule covers is
PENDING for some looks (HeadObject) and then stands in the other bucket as a
REPLICA, under the same version and time; while that bucket's region is down
it stays PENDING. Rules by tags, and delete markers, are kept and not acted on.
"""

from . import operation, refuse, s3
from .s3_rules import bucket_of, store


@operation("s3", "PutBucketReplication")
def put_rules(call):
    bucket, asked = bucket_of(call), call.params["ReplicationConfiguration"]
    if bucket.versioning_status != "Enabled":
        words = "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
        refuse("InvalidRequest", words)
    for number, rule in enumerate(asked["Rules"]):
        target = store(call).buckets.get(name_of(rule))
        if target is None or target.versioning_status != "Enabled":
            refuse("InvalidRequest", "Destination bucket must have versioning enabled.")
        if rule.get("Filter") and not rule.get("DeleteMarkerReplication"):
            refuse("InvalidRequest", "DeleteMarkerReplication must be specified for this version of Cross Region Replication configuration schema.")
        rule.setdefault("ID", f"rule-{number}")
    bucket.lab_rules = asked
    return 200, {}, b""


@operation("s3", "GetBucketReplication")
def get_rules(call):
    rules = getattr(bucket_of(call), "lab_rules", None)
    if rules is None:
        words = "The replication configuration was not found"
        refuse("ReplicationConfigurationNotFoundError", words, 404)
    return {"ReplicationConfiguration": rules}


@operation("s3", "DeleteBucketReplication")
def delete_rules(call):
    bucket_of(call).lab_rules = None
    return 204, {}, b""


def name_of(rule):
    return rule["Destination"]["Bucket"].split(":::")[-1]


def covering(bucket, key):
    """The rule by which a key is replicated, by prefix alone."""
    rules = (getattr(bucket, "lab_rules", None) or {"Rules": []})["Rules"]
    found = [r for r in rules if r["Status"] == "Enabled" and key.startswith(prefix_of(r)) and not tagged(r)]
    return max(found, key=lambda r: r.get("Priority") or 0, default=None)


def prefix_of(rule):
    part = rule.get("Filter") or {}
    return (part.get("And") or part).get("Prefix") or rule.get("Prefix") or ""


def tagged(rule):
    part = rule.get("Filter") or {}
    return bool(part.get("Tag") or (part.get("And") or {}).get("Tags"))


@operation("s3", "PutObject")
def put(call):
    answer = s3.write(call)
    bucket, key = bucket_of(call), call.params["Key"]
    rule = covering(bucket, key)
    if answer[0] == 200 and rule:
        version = bucket.keys.getlist(key)[-1]
        version.lab_replication = "PENDING"
        target = store(call).buckets[name_of(rule)]

        def finish():
            if not call.lab.regions.mode(call.account, "s3", target.region_name):
                bring(store(call), version, target)

        call.state.begin(progress(bucket, key, version), finish)
    return answer


def progress(bucket, key, version):
    return ("replication", bucket.name, key, version.version_id)


def bring(here, version, target):
    """The replica of a version."""
    replica = here.put_object(target.name, version.name, version.value, disable_notification=True)
    replica.last_modified, replica._version_id = version.last_modified, version.version_id
    replica.set_metadata(dict(version.metadata))
    replica.lab_replica, version.lab_replication = True, "COMPLETED"


@operation("s3", "HeadObject")
def head(call):
    """A version that a rule covers says how far it is."""
    bucket, key = bucket_of(call), call.params["Key"]
    versions = bucket.keys.getlist(key, [])
    wanted = call.params.get("VersionId")
    found = next((v for v in reversed(versions) if wanted in (None, v.version_id)), None)
    if found is not None:
        call.state.look(progress(bucket, key, found))
    status, headers, body = s3.head(call)
    told = getattr(found, "lab_replication", None)
    if status == 200 and told:
        headers = {**headers, "x-amz-replication-status": told}
    return status, headers, body


def plant(here, source, target, rule, keys):
    """Replication that has been going on: a rule, and some objects on both sides."""
    source.lab_rules = {"Role": "arn:aws:iam::123456789012:role/replication", "Rules": [rule]}
    for key in keys:
        bring(here, here.put_object(source.name, key, key.encode(), disable_notification=True), target)


