"""CloudFront distributions, whole: entity tags that turn, status that takes time.

moto keeps one ETag for ever, accepts a stale If-Match and rebuilds the
config from the parts it knows. The lab keeps the config as it was sent.
"""

import copy
import uuid
from datetime import datetime, timezone

from . import operation, refuse


class Distribution:
    """A distribution: its config, its tag, and whether it is deployed."""

    def __init__(self, identifier, account, config):
        self.id = identifier
        self.account = account
        self.config = config
        self.status = "InProgress"
        self.turn()

    def turn(self):
        """A new entity tag, as after every change."""
        self.etag = "E" + uuid.uuid4().hex[:13].upper()
        self.modified = datetime.now(timezone.utc)

    @property
    def arn(self):
        return f"arn:aws:cloudfront::{self.account}:distribution/{self.id}"

    @property
    def domain(self):
        return f"{self.id.lower()}.cloudfront.net"

    def shown(self):
        return {
            "Id": self.id, "ARN": self.arn, "Status": self.status,
            "LastModifiedTime": self.modified, "InProgressInvalidationBatches": 0,
            "DomainName": self.domain,
            "ActiveTrustedSigners": {"Enabled": False, "Quantity": 0},
            "ActiveTrustedKeyGroups": {"Enabled": False, "Quantity": 0},
            "DistributionConfig": self.config,
        }  # fmt: skip

    def summary(self):
        c = self.config
        fields = (
            "Aliases", "Origins", "OriginGroups", "DefaultCacheBehavior", "CacheBehaviors",
            "CustomErrorResponses", "Comment", "PriceClass", "Enabled", "ViewerCertificate",
            "Restrictions", "WebACLId", "HttpVersion", "IsIPV6Enabled", "Staging",
        )  # fmt: skip
        defaults = {
            "Aliases": {"Quantity": 0}, "CacheBehaviors": {"Quantity": 0},
            "CustomErrorResponses": {"Quantity": 0}, "PriceClass": "PriceClass_All",
            "ViewerCertificate": {"CloudFrontDefaultCertificate": True}, "WebACLId": "",
            "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
            "HttpVersion": "http2", "IsIPV6Enabled": True, "Staging": False,
        }  # fmt: skip
        return {
            "Id": self.id, "ARN": self.arn, "ETag": self.etag, "Status": self.status,
            "LastModifiedTime": self.modified, "DomainName": self.domain,
            **{f: c.get(f, defaults.get(f)) for f in fields},
        }  # fmt: skip


def find(call):
    found = call.state.distributions.get(call.params["Id"])
    if found is None:
        refuse("NoSuchDistribution", "The specified distribution does not exist.", 404)
    return found


def deploy(account, distribution):
    distribution.status = "InProgress"

    def finish():
        distribution.status = "Deployed"

    account.begin(("cloudfront", distribution.id), finish)


def quantities(value, path="DistributionConfig"):
    """Every Quantity must be the number of its Items."""
    if isinstance(value, dict):
        if "Quantity" in value:
            items = value.get("Items") or []
            if int(value["Quantity"]) != len(items):
                refuse(
                    "InconsistentQuantities",
                    f"The value of Quantity and the size of Items don't match at {path}.",
                )
            if not items:
                value.pop("Items", None)
        for name, inner in value.items():
            quantities(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            quantities(inner, path)


def check(config):
    """What CloudFront refuses of a config: bad counts, behaviours without an origin."""
    quantities(config)
    origins = {o["Id"] for o in (config.get("Origins") or {}).get("Items") or []}
    groups = (config.get("OriginGroups") or {}).get("Items") or []
    targets = [config["DefaultCacheBehavior"]["TargetOriginId"]]
    targets += [b["TargetOriginId"] for b in (config.get("CacheBehaviors") or {}).get("Items") or []]
    members = [m["OriginId"] for g in groups for m in g["Members"].get("Items") or []]
    for target in targets:
        if target not in origins | {g["Id"] for g in groups}:
            refuse("NoSuchOrigin", "One or more of your origins or origin groups do not exist.", 404)
    if not set(members) <= origins:
        refuse("NoSuchOrigin", "One or more of your origins or origin groups do not exist.", 404)


@operation("cloudfront", "CreateDistribution")
def create(call):
    config = copy.deepcopy(call.params["DistributionConfig"])
    check(config)
    for other in call.state.distributions.values():
        if other.config["CallerReference"] == config["CallerReference"]:
            words = "The caller reference attempted to create the distribution is associated with another distribution."
            refuse("DistributionAlreadyExists", words, 409)
    identifier = "E" + uuid.uuid4().hex[:13].upper()
    new = call.state.distributions[identifier] = Distribution(identifier, call.account, config)
    deploy(call.state, new)
    location = f"https://cloudfront.amazonaws.com/2020-05-31/distribution/{identifier}"
    return {"Distribution": new.shown(), "ETag": new.etag, "Location": location}


@operation("cloudfront", "GetDistribution")
def get(call):
    found = find(call)
    call.state.look(("cloudfront", found.id))
    return {"Distribution": found.shown(), "ETag": found.etag}


@operation("cloudfront", "GetDistributionConfig")
def get_config(call):
    found = find(call)
    return {"DistributionConfig": found.config, "ETag": found.etag}


def guard(call, found):
    """If-Match must be there and must be the current tag."""
    given = call.params.get("IfMatch")
    if not given:
        words = "The If-Match version is missing or not valid for the resource."
        refuse("InvalidIfMatchVersion", words)
    if given.strip('"') != found.etag:
        words = "The request failed because it didn't meet the preconditions in one or more request-header fields."
        refuse("PreconditionFailed", words, 412)


@operation("cloudfront", "UpdateDistribution")
def update(call):
    found = find(call)
    config = copy.deepcopy(call.params["DistributionConfig"])
    guard(call, found)
    if config["CallerReference"] != found.config["CallerReference"]:
        refuse("IllegalUpdate", "The update contains modifications that are not allowed.")
    check(config)
    found.config = config
    found.turn()
    deploy(call.state, found)
    return {"Distribution": found.shown(), "ETag": found.etag}


@operation("cloudfront", "DeleteDistribution")
def delete(call):
    found = find(call)
    guard(call, found)
    if found.config.get("Enabled"):
        words = "The distribution you are trying to delete has not been disabled."
        refuse("DistributionNotDisabled", words, 409)
    del call.state.distributions[found.id]
    call.state.stop(("cloudfront", found.id))
    return {}


@operation("cloudfront", "ListDistributions")
def list_distributions(call):
    items = [d.summary() for d in call.state.distributions.values()]
    return {
        "DistributionList": {
            "Marker": "", "MaxItems": 100, "IsTruncated": False,
            "Quantity": len(items), "Items": items,
        }
    }  # fmt: skip


@operation("cloudfront", "CreateInvalidation")
def invalidate(call):
    call.params["Id"] = call.params["DistributionId"]
    found = find(call)
    batch = copy.deepcopy(call.params["InvalidationBatch"])
    quantities(batch, "InvalidationBatch")
    caller = batch["CallerReference"]
    known = call.state.invalidations.get((found.id, caller))
    if known is not None:
        if known["InvalidationBatch"] != batch:
            words = "Your request contains a caller reference that was used for a previous invalidation batch for the same distribution, but the content of the batch differs."
            refuse("InvalidArgument", words)
        return {"Invalidation": known}
    new = call.state.invalidations[(found.id, caller)] = {
        "Id": "I" + uuid.uuid4().hex[:13].upper(), "Status": "InProgress",
        "CreateTime": datetime.now(timezone.utc), "InvalidationBatch": batch,
    }  # fmt: skip
    first = dict(new)
    call.state.begin(("invalidation", new["Id"]), lambda: new.update(Status="Completed"))
    return {"Invalidation": first, "Location": f"https://cloudfront.amazonaws.com/{new['Id']}"}


@operation("cloudfront", "GetInvalidation")
def get_invalidation(call):
    for (distribution, _), known in call.state.invalidations.items():
        if distribution == call.params["DistributionId"] and known["Id"] == call.params["Id"]:
            call.state.look(("invalidation", known["Id"]))
            return {"Invalidation": known}
    refuse("NoSuchInvalidation", "The specified invalidation does not exist.", 404)


def site_reasons(account, identifier, origin, domain):
    """Why the edge does not yet lead to a domain."""
    found = account.distributions.get(identifier)
    if found is None:
        return [f"distribution {identifier} is not there"]
    items = (found.config.get("Origins") or {}).get("Items") or []
    now = next((o["DomainName"] for o in items if o["Id"] == origin), None)
    reasons = []
    if now != domain:
        reasons.append(f"distribution origin {origin} is {now}, not {domain}")
    elif found.status != "Deployed":
        reasons.append(f"distribution is {found.status}")
    return reasons


def state(account):
    """Distributions as plain data, and how many invalidations were made."""
    found = {
        identifier: {"config": d.config, "status": d.status, "etag": d.etag}
        for identifier, d in account.distributions.items()
    }
    batches = sorted(
        (i["InvalidationBatch"]["CallerReference"], i["Status"])
        for i in account.invalidations.values()
    )
    return {"distributions": found, "invalidations": [list(b) for b in batches]}
