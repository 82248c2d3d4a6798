"""The whole state of an account as one sorted document, plain or masked.

Masked, two accounts that went through the same actions give the same bytes:
what AWS makes up (ids, tags of entities, times) and what names the run or
the account is replaced by a placeholder.
"""

import importlib
import json
import re

SERVICES = ("rds", "dynamodb", "s3", "ecs", "cloudfront", "route53", "sns", "backup", "elasticache", "cognito", "functions", "key_values", "routing_controls")
#: services that are not called as their patch is
PATCHES = {"cloudfront-keyvaluestore": "key_values", "cognito-idp": "cognito", "lambda": "functions", "route53-recovery-cluster": "routing_controls"}

MASKS = (
    # An automated snapshot is named after the minute in which it was made.
    (re.compile(r"^(rds:.+)-\d{4}-\d{2}-\d{2}-\d{2}-\d{2}$"), r"\1-<minute>"),
    # The last stage of a TTL may take an hour: nobody waits for it.
    (re.compile(r"^ENABLING$"), "ENABLED"),
    (re.compile(r"\b\d{8}-\d{6}-[A-Za-z0-9_-]+?-[0-9a-f]{4}\b"), "<run>"),
    (re.compile(r"/backup/\d+-[0-9a-f]+"), "/backup/<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b(sg|vpc|subnet|eni)-[0-9a-f]{8,17}\b"), r"<\1>"),
    (re.compile(r"\.[a-z0-9]{8,12}\.([a-z]{2}-[a-z]+-\d)\.rds\.amazonaws\.com"), r".<id>.\1.rds.amazonaws.com"),
    (re.compile(r"\b(127\.0\.0\.1|localhost):\d+\b"), "<address>"),
)  # fmt: skip
BODY_MASKS = ((re.compile(r"(?<![0-9a-zA-Z.])1[6-9]\d{8}(\d{3}|\.\d+)?(?![0-9a-zA-Z])"), "<epoch>"),)
#: whatever could be one of the ids that AWS makes up
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{8,}")
RUN_KEYS = ("dr:run", "dr-run")
ID_FIELDS = {"id", "etag", "version"}


def module(service):
    return importlib.import_module(f"{__package__}.patches.{service}")


def part(account, service, params):
    """What a call to this service could change; unknown services never look the same."""
    service = PATCHES.get(service, service)
    if service == "s3" and str(params.get("Bucket")).startswith(module("cognito").UPLOADS):
        service = "cognito"
    if service not in SERVICES:
        return account.number()
    if service == "s3":
        return module("s3").state(account, only=params.get("Bucket"), key=params.get("Key"))
    return module(service).state(account)


def whole(account, mask=False):
    """Every service of an account, as JSON text."""
    state = {service: module(service).state(account) for service in SERVICES}
    if mask:
        state["s3"] = module("s3").state(account, text=lambda body: masked_body(body, account.name))
        state = masked(state, account.name, identifiers(account))
    return json.dumps(state, sort_keys=True, indent=1, ensure_ascii=False, default=str)


def identifiers(account):
    """Ids the account was given, each with a name that does not change."""
    known = {zone.id: f"<zone {zone.name}>" for zone in account.zones.values()}
    for number, name in enumerate(account.distributions, 1):
        known[name] = known[name.lower()] = f"<distribution {number}>"
    # A distribution's domain holds a part of the account.
    known[f"edrlab{account.name[4:]}"] = "<distribution>"
    known.update(module("s3").version_names(account))
    return known


def masked_text(text, account, known=None):
    """One string without what differs from run to run."""
    if known:
        text = TOKEN.sub(lambda m: known.get(m.group(0), m.group(0)), text)
    for pattern, instead in MASKS:
        text = pattern.sub(instead, text)
    return text.replace(account, "<account>")


def masked_body(body, account):
    """A body as it is hashed: masked where it is text, itself where it is not."""
    if len(body) > 1024 * 1024:
        return body
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return body
    text = masked_text(text, account)
    for pattern, instead in BODY_MASKS:
        text = pattern.sub(instead, text)
    return text.encode()


def masked(value, account, known, key=""):
    """The same structure with every made-up word replaced."""
    if isinstance(value, dict):
        return {
            masked_text(str(k), account, known): masked(v, account, known, str(k))
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [masked(v, account, known, key) for v in value]
    if isinstance(value, str):
        if key.startswith(RUN_KEYS):
            return "<run>"
        if key in ID_FIELDS:
            return known.get(value, f"<{key}>").replace(account, "<account>")
        return masked_text(value, account, known)
    return value
