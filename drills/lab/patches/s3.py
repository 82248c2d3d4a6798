"""S3 with versions in their true order and conditions that count.

moto orders versions by the millisecond (two in one are confused), starts a
page one entry late, and copies whatever the conditions say.
"""

import hashlib
from datetime import timezone
from urllib.parse import quote, quote_plus

from .. import bridge
from . import operation, refuse
from .s3_rules import bucket_of, check_source, check_write, is_marker

KEPT = {"cache-control", "content-encoding", "content-disposition", "content-language", "expires"}
OWNER = {"ID": "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a", "DisplayName": "lab"}


@operation("s3", "PutObject", "DeleteObject", "CompleteMultipartUpload")
def write(call):
    check_write(call)
    return bridge.dispatch(call)


@operation("s3", "GetObject")
def read(call):
    """A key whose newest version is a delete marker says so; what was written while versioning was
    suspended has the version `null`, which the next one replaces (User Guide, Suspending versioning)."""
    bucket = bucket_of(call)
    versions = bucket.keys.getlist(call.params["Key"], [])
    if versions and is_marker(versions[-1]) and not call.params.get("VersionId"):
        headers = {"x-amz-delete-marker": "true", "x-amz-version-id": versions[-1].version_id}
        extra = {"Key": call.params["Key"]}
        refuse("NoSuchKey", "The specified key does not exist.", 404, headers=headers, extra=extra)
    status, headers, body = bridge.dispatch(call)
    wanted = call.params.get("VersionId") or (versions[-1].version_id if versions else None)
    if status < 300 and bucket.versioning_status == "Suspended" and wanted == "null":
        headers = {**headers, "x-amz-version-id": "null"}
    return status, headers, body


@operation("s3", "HeadObject")
def head(call):
    """A version that replication brought says so."""
    status, headers, body = bridge.dispatch(call)
    wanted = call.params.get("VersionId")
    versions = bucket_of(call).keys.getlist(call.params["Key"], []) if status == 200 else []
    found = next((v for v in reversed(versions) if wanted in (None, v.version_id)), None)
    if getattr(found, "lab_replica", False):
        headers = {**headers, "x-amz-replication-status": "REPLICA"}
    return status, headers, body


@operation("s3", "CopyObject", "UploadPartCopy")
def copy(call):
    """The conditions first; then the source in the one spelling that moto reads."""
    name, key, version = check_source(call)
    if call.name == "CopyObject":
        check_write(call)
    source = f"/{quote(name)}/{quote(key, safe='/')}"
    if version:
        source += f"?versionId={quote(version)}"
    call.rebuild({"x-amz-copy-source": source})
    return bridge.dispatch(call)


def url_encoded(text):
    """As S3 encodes a key in a listing: a space is a plus."""
    return quote_plus(text, safe="/*").replace("~", "%7E")


def moment(call, when):
    """LastModified: to the millisecond, or to the second as AWS shows it if the seed says so."""
    seconds = (call.state.seed or {}).get("s3_seconds")
    return when.replace(microsecond=0 if seconds else when.microsecond // 1000 * 1000, tzinfo=timezone.utc)


def restored(version):
    """RestoreStatus of an archived version that was asked back; None when it was not."""
    expiry = getattr(version, "_expiry", None)
    if expiry is None:
        return None
    if version.status == "IN_PROGRESS":
        return {"IsRestoreInProgress": True}
    return {"IsRestoreInProgress": False, "RestoreExpiryDate": expiry.replace(microsecond=0, tzinfo=timezone.utc)}


def in_order(bucket, prefix):
    """(key, version, is_latest) of every version: keys ascending, newest version first."""
    for key in sorted(k for k in bucket.keys if k.startswith(prefix)):
        versions = bucket.keys.getlist(key)
        for index, version in enumerate(reversed(versions)):
            yield key, version, index == 0


def page_of(bucket, params):
    """Everything after the markers, each with what it counts as: a version or a prefix."""
    prefix, delimiter = params.get("Prefix") or "", params.get("Delimiter") or ""
    after, version_after = params.get("KeyMarker") or "", params.get("VersionIdMarker") or ""
    waiting, groups = bool(version_after), set()
    for key, version, latest in in_order(bucket, prefix):
        if key < after or (key == after and not version_after and after):
            continue
        if key == after and waiting:
            waiting = version.version_id != version_after
            continue
        waiting = False
        if delimiter and delimiter in key[len(prefix) :]:
            group = prefix + key[len(prefix) :].split(delimiter, 1)[0] + delimiter
            if group not in groups and group > after:
                groups.add(group)
                yield group, None, False
            continue
        yield key, version, latest


@operation("s3", "ListObjectVersions")
def list_versions(call):
    params, bucket = call.params, bucket_of(call)
    encode = url_encoded if params.get("EncodingType") == "url" else str
    most = min(params["MaxKeys"] if params.get("MaxKeys") is not None else 1000, 1000)
    result = {
        "Name": bucket.name, "Prefix": encode(params.get("Prefix") or ""), "MaxKeys": most,
        "KeyMarker": encode(params.get("KeyMarker") or ""),
        "VersionIdMarker": params.get("VersionIdMarker") or "", "IsTruncated": False,
        "Versions": [], "DeleteMarkers": [], "CommonPrefixes": [],
    }  # fmt: skip
    if params.get("Delimiter"):
        result["Delimiter"] = encode(params["Delimiter"])
    if params.get("EncodingType"):
        result["EncodingType"] = params["EncodingType"]
    last = None
    for count, (key, version, latest) in enumerate(page_of(bucket, params)):
        if count >= most:
            result["IsTruncated"] = most > 0
            break
        last = (key, version)
        if version is None:
            result["CommonPrefixes"].append({"Prefix": encode(key)})
            continue
        entry = {
            "Key": encode(key), "VersionId": version.version_id, "IsLatest": latest,
            "LastModified": moment(call, version.last_modified), "Owner": OWNER,
        }  # fmt: skip
        if is_marker(version):
            result["DeleteMarkers"].append(entry)
        else:
            entry |= {"ETag": version.etag, "Size": version.size, "StorageClass": version.storage_class}
            # Told to whom asks for it, and to nobody else.
            back = restored(version) if "RestoreStatus" in (params.get("OptionalObjectAttributes") or []) else None
            if back:
                entry["RestoreStatus"] = back
            result["Versions"].append(entry)
    if result["IsTruncated"]:
        result["NextKeyMarker"] = encode(last[0])
        result["NextVersionIdMarker"] = last[1].version_id if last[1] is not None else None
    return result


def sha256_of(version, text):
    """The hash of a body, kept on the version: bodies never change."""
    name = "lab_sha256" if text is None else "lab_masked_sha256"
    known = version.__dict__.get(name)
    if known is None:
        body = version.value
        known = hashlib.sha256(text(body) if text else body).hexdigest()
        version.__dict__[name] = known
    return known


def version_state(here, version, text):
    at = version.last_modified.isoformat() + "Z"
    if is_marker(version):
        return {"version": version.version_id, "marker": True, "at": at}
    metadata = {
        k.removeprefix("x-amz-meta-"): v
        for k, v in ((k.lower(), v) for k, v in version.metadata.items())
        if k.startswith("x-amz-meta-") or k in KEPT
    }
    found = {
        "version": version.version_id, "at": at, "sha256": sha256_of(version, text),
        "type": version.metadata.get("Content-Type"), "metadata": metadata,
        "tags": here.tagger.get_tag_dict_for_resource(version.arn),
    }  # fmt: skip
    if text is None:
        found |= {"size": version.size, "etag": version.etag}
    return found


def state(account, only=None, text=None, key=None):
    """Buckets with every version of every key, oldest first; or one bucket, or one key of it."""
    here = bridge.backend("s3", account.name, "aws")
    found = {}
    for name, bucket in here.buckets.items():
        if only and name != only:
            continue
        found[name] = {
            "region": bucket.region_name,
            "versioning": bucket.versioning_status,
            "keys": {
                name: [version_state(here, v, text) for v in bucket.keys.getlist(name, [])]
                for name in ([key] if key else bucket.keys)
            },
            "uploads": len(bucket.multiparts),
        }
    return found


def version_names(account):
    """Version ids, each with the name of its place."""
    here = bridge.backend("s3", account.name, "aws")
    return {
        version.version_id: f"<version {name}/{key}#{number}>"
        for name, bucket in here.buckets.items()
        for key in bucket.keys
        for number, version in enumerate(bucket.keys.getlist(key))
        if version.version_id != "null"
    }


@operation("s3", "GetBucketVersioning")
def versioning(call):
    """moto names the root element after the operation, which the SDKs refuse."""
    status = bucket_of(call).versioning_status
    inner = f"<Status>{status}</Status>" if status else ""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</VersioningConfiguration>'
    )
    return 200, {"Content-Type": "application/xml"}, body.encode()
