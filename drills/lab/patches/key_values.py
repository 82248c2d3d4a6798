"""CloudFront's KeyValueStores as their data plane: one version for the whole store, turned by each change.

The key value pairs live here alone; moto has none of it. What the edge sees follows some looks later
(`seen_at_edge`), as it does within seconds in CloudFront. botocore's model names the errors without saying
which one a stale `If-Match` gets; the lab gives the one for a resource that is not in the expected state.
"""

import uuid
from datetime import datetime, timezone

from . import operation, refuse

#: Amazon CloudFront Developer Guide, Quotas on key value stores
KEY_BYTES, VALUE_BYTES, STORE_BYTES = 512, 1024, 5 * 1024 * 1024
SERVICE = "cloudfront-keyvaluestore"


class Store:
    """A store: its pairs, their version, and what the edge still sees."""

    def __init__(self, account, identifier, pairs):
        self.arn = f"arn:aws:cloudfront::{account}:key-value-store/{identifier}"
        self.pairs = dict(pairs)
        self.edge = dict(pairs)
        self.status = "READY"
        self.created = datetime.now(timezone.utc)
        self.turn()

    def turn(self):
        """A new version, as after every change of any key."""
        self.etag = "K" + uuid.uuid4().hex[:13].upper()
        self.modified = datetime.now(timezone.utc)

    def sizes(self):
        return {
            "ItemCount": len(self.pairs),
            "TotalSizeInBytes": sum(len(k.encode()) + len(v.encode()) for k, v in self.pairs.items()),
        }


def kept(state):
    """The account's stores by ARN; made at the first use."""
    return state.__dict__.setdefault("key_value_stores", {})


def find(call):
    found = kept(call.state).get(call.params["KvsARN"])
    if found is None:
        refuse("ResourceNotFoundException", "Resource was not found.", 404)
    return found


@operation(SERVICE, "DescribeKeyValueStore")
def describe(call):
    found = find(call)
    return {
        **found.sizes(), "KvsARN": found.arn, "Created": found.created, "LastModified": found.modified,
        "ETag": found.etag, "Status": found.status,
    }  # fmt: skip


@operation(SERVICE, "GetKey")
def get(call):
    found, key = find(call), call.params["Key"]
    if key not in found.pairs:
        refuse("ResourceNotFoundException", "Resource was not found.", 404)
    return {**found.sizes(), "Key": key, "Value": found.pairs[key]}


@operation(SERVICE, "ListKeys")
def listed(call):
    found = find(call)
    most, first = int(call.params.get("MaxResults") or 10), int(call.params.get("NextToken") or 0)
    names = sorted(found.pairs)
    more = {"NextToken": str(first + most)} if first + most < len(names) else {}
    return {"Items": [{"Key": k, "Value": found.pairs[k]} for k in names[first : first + most]]} | more


def change(call, puts, deletes):
    """All or nothing, and only on the version that the caller knows."""
    found = find(call)
    if call.params["IfMatch"].strip('"') != found.etag:
        refuse("ConflictException", "Resource is not in expected state.", 409)
    pairs = dict(found.pairs)
    for key in deletes:
        if pairs.pop(key, None) is None:
            refuse("ResourceNotFoundException", "Resource was not found.", 404)
    for key, value in puts.items():
        if len(key.encode()) > KEY_BYTES or len(value.encode()) > VALUE_BYTES:
            refuse("ValidationException", f"A key has {KEY_BYTES} bytes at most, and a value {VALUE_BYTES}.")
        pairs[key] = value
    if sum(len(k.encode()) + len(v.encode()) for k, v in pairs.items()) > STORE_BYTES:
        refuse("ServiceQuotaExceededException", "Limit exceeded.", 402)
    found.pairs = pairs
    found.turn()
    call.state.begin((SERVICE, found.arn), lambda: setattr(found, "edge", dict(found.pairs)))
    return {**found.sizes(), "ETag": found.etag}


@operation(SERVICE, "PutKey")
def put(call):
    return change(call, {call.params["Key"]: call.params["Value"]}, [])


@operation(SERVICE, "DeleteKey")
def delete(call):
    return change(call, {}, [call.params["Key"]])


@operation(SERVICE, "UpdateKeys")
def update(call):
    puts = {each["Key"]: each["Value"] for each in call.params.get("Puts") or []}
    return change(call, puts, [each["Key"] for each in call.params.get("Deletes") or []])


def seen_at_edge(account, key):
    """What a function at the edge finds under a key of the account's first store; counts as a look."""
    for found in kept(account).values():
        account.look((SERVICE, found.arn))
        return found.edge.get(key)
    return None


def state(account):
    """The stores as plain data. When the edge has followed is a matter of looks: it stands in no dump."""
    return {arn: {"pairs": found.pairs, "etag": found.etag} for arn, found in kept(account).items()}
