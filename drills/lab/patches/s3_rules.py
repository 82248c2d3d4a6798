"""What S3 asks of every request: the bucket's own region, and the conditions."""

from urllib.parse import unquote

from .. import bridge
from . import OPERATIONS, refuse

ANYWHERE = {"CreateBucket", "GetBucketLocation", "ListBuckets"}


def store(call):
    return bridge.backend("s3", call.account, "aws")


def bucket_of(call, name=None):
    """moto's bucket, or NoSuchBucket."""
    name = name or call.params["Bucket"]
    found = store(call).buckets.get(name)
    if found is None:
        refuse("NoSuchBucket", "The specified bucket does not exist", 404, extra={"BucketName": name})
    return found


def current(bucket, key):
    """The newest version of a key, None when it is absent or deleted."""
    versions = bucket.keys.getlist(key, [])
    return None if not versions or is_marker(versions[-1]) else versions[-1]


def is_marker(version):
    return type(version).__name__ == "FakeDeleteMarker"


def bare(etag):
    return (etag or "").strip().strip('"')


def check_region(call):
    """A bucket answers only requests signed for its own region."""
    name = call.params.get("Bucket")
    if not name or call.name in ANYWHERE:
        return
    bucket = store(call).buckets.get(name)
    if bucket is not None and bucket.region_name != call.region:
        refuse(
            "PermanentRedirect",
            "The bucket you are attempting to access must be addressed using the specified "
            "endpoint. Please send all future requests to this endpoint.",
            301,
            headers={"x-amz-bucket-region": bucket.region_name},
            extra={"Endpoint": f"s3.{bucket.region_name}.amazonaws.com", "Bucket": name},
        )


def failed(condition):
    refuse(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        412,
        extra={"Condition": condition},
    )


def check_write(call):
    """If-Match and If-None-Match on what is about to be written or deleted."""
    match, none = call.params.get("IfMatch"), call.params.get("IfNoneMatch")
    if not match and not none:
        return
    now = current(bucket_of(call), call.params["Key"])
    if none is not None:
        if none.strip() != "*":
            refuse("NotImplemented", "A header you provided implies functionality that is not implemented", 501)
        if now is not None:
            failed("If-None-Match")
    if match is not None:
        if now is None:
            refuse("NoSuchKey", "The specified key does not exist.", 404, extra={"Key": call.params["Key"]})
        if match.strip() != "*" and bare(match) != bare(now.etag):
            failed("If-Match")


def source_of(call):
    """(bucket, key, version) that a copy reads, out of its encoded header."""
    raw = call.params["CopySource"]
    path, mark, version = raw.partition("?versionId=")
    name, slash, key = unquote(path).lstrip("/").partition("/")
    if not slash or not key:
        refuse("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
    return name, key, unquote(version) if mark else None


def check_source(call):
    """The source of a copy: there, readable, and as the conditions want it."""
    name, key, version = source_of(call)
    bucket = bucket_of(call, name)
    if bucket.region_name != call.region and call.lab.regions.mode(call.account, "s3", bucket.region_name):
        refuse("ServiceUnavailable", "The source bucket's region does not answer", 503)
    versions = bucket.keys.getlist(key, [])
    if version is None:
        found = current(bucket, key)
        if found is None:
            refuse("NoSuchKey", "The specified key does not exist.", 404, extra={"Key": key})
    else:
        found = next((v for v in versions if v.version_id == version), None)
        if found is None:
            refuse("NoSuchVersion", "The specified version does not exist.", 404, extra={"Key": key})
        if is_marker(found):
            words = "The source of a copy request may not specifically refer to a delete marker by version id."
            refuse("InvalidRequest", words)
    match, none = call.params.get("CopySourceIfMatch"), call.params.get("CopySourceIfNoneMatch")
    if match and bare(match) != bare(found.etag):
        failed("x-amz-copy-source-If-Match")
    if none and bare(none) == bare(found.etag):
        failed("x-amz-copy-source-If-None-Match")
    return name, key, version


OPERATIONS[("s3", "*")] = check_region
