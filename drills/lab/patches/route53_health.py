"""Route 53's health checks, whole: moto keeps them and never asks anything.

A check follows a routing control, or asks for an object of a bucket of the
account, as health checkers on the Internet would by its public address. What
it sees counts after so many DNS questions that wanted to know, as a threshold
of failures does. (Route 53 Developer Guide, "How Route 53 determines whether a
health check is healthy".)
"""

import re
import uuid
from datetime import datetime, timezone

from .. import bridge
from . import operation, refuse

ENDPOINTS = ("HTTP", "HTTPS")
KINDS = (*ENDPOINTS, "HTTP_STR_MATCH", "HTTPS_STR_MATCH", "TCP", "CALCULATED", "CLOUDWATCH_METRIC", "RECOVERY_CONTROL")
#: an object by the public address of its bucket
OBJECT = re.compile(r"(?P<bucket>[a-z0-9.-]{3,63})\.s3[.-](?P<region>[a-z]+(-[a-z]+)+-\d)\.amazonaws\.com")
CHANGES = (
    "IPAddress", "Port", "ResourcePath", "FullyQualifiedDomainName", "SearchString", "FailureThreshold", "Inverted",
    "Disabled", "HealthThreshold", "ChildHealthChecks", "EnableSNI", "Regions", "AlarmIdentifier",
    "InsufficientDataHealthStatus",
)  # fmt: skip


class HealthCheck:
    """A check as it was made, and whether it counts as healthy."""

    def __init__(self, caller, config, identifier=None):
        self.id = identifier or str(uuid.uuid4())
        self.caller, self.config, self.version = caller, dict(config), 1
        #: what counts: a check begins as healthy
        self.sees = True

    def told(self):
        return {
            "Id": self.id, "CallerReference": self.caller, "HealthCheckConfig": self.config,
            "HealthCheckVersion": self.version,
        }  # fmt: skip


def probe(lab, account, config):
    """What the checkers see now, before it is inverted."""
    if config["Type"] == "RECOVERY_CONTROL":
        control = account.routing.controls.get(config["RoutingControlArn"])
        return control is not None and control.state == "On"
    where = OBJECT.fullmatch(config.get("FullyQualifiedDomainName", ""))
    if config["Type"] not in ENDPOINTS or where is None:
        return True
    if lab.regions.mode(account.name, "s3", where["region"]):
        return False
    bucket = bridge.backend("s3", account.name, "aws").buckets.get(where["bucket"])
    key = bucket.keys.get(config.get("ResourcePath", "/").lstrip("/")) if bucket else None
    return key is not None and type(key).__name__ != "FakeDeleteMarker"


def healthy(lab, account, identifier):
    """Whether a record with this check is to be answered; one question about it."""
    check = account.health_checks.get(identifier)
    if check is None or check.config.get("Disabled"):
        return True
    sees = probe(lab, account, check.config)
    key = ("health", check.id)
    if check.config["Type"] == "RECOVERY_CONTROL":
        check.sees = sees
    if sees == check.sees:
        account.stop(key)
    elif key in account.under_way:
        account.look(key)
    else:
        account.begin(key, lambda: setattr(check, "sees", sees))
    return check.sees != bool(check.config.get("Inverted"))


def check_of(call):
    found = call.state.health_checks.get(call.params["HealthCheckId"])
    if found is None:
        refuse("NoSuchHealthCheck", f"A health check with id {call.params['HealthCheckId']} does not exist.", 404)
    return found


@operation("route53", "CreateHealthCheck")
def create(call):
    caller, config = call.params["CallerReference"], call.params["HealthCheckConfig"]
    for known in call.state.health_checks.values():
        if known.caller == caller:
            if known.config == config:
                return {"HealthCheck": known.told(), "Location": place(known)}
            refuse("HealthCheckAlreadyExists", "A different health check has this caller reference.", 409)
    kind = config["Type"]
    if kind not in KINDS:
        refuse("InvalidInput", f"Unknown health check type {kind}.")
    if (kind == "RECOVERY_CONTROL") != ("RoutingControlArn" in config):
        refuse("InvalidInput", "RoutingControlArn goes with RECOVERY_CONTROL, and with nothing else.")
    if kind == "RECOVERY_CONTROL" and config["RoutingControlArn"] not in call.state.routing.controls:
        refuse("InvalidInput", f"There is no routing control {config['RoutingControlArn']}.")
    if kind in ENDPOINTS and not {"IPAddress", "FullyQualifiedDomainName"} & set(config):
        refuse("InvalidInput", "Either IPAddress or FullyQualifiedDomainName must be given.")
    made = HealthCheck(caller, config)
    made.sees = probe(call.lab, call.state, made.config)
    call.state.health_checks[made.id] = made
    return {"HealthCheck": made.told(), "Location": place(made)}


def place(check):
    return f"https://route53.amazonaws.com/2013-04-01/healthcheck/{check.id}"


@operation("route53", "GetHealthCheck")
def get(call):
    return {"HealthCheck": check_of(call).told()}


@operation("route53", "ListHealthChecks")
def every(call):
    told = [check.told() for check in call.state.health_checks.values()]
    return {"HealthChecks": told, "Marker": call.params.get("Marker", ""), "IsTruncated": False, "MaxItems": "100"}


@operation("route53", "UpdateHealthCheck")
def update(call):
    check = check_of(call)
    if call.params.get("HealthCheckVersion", check.version) != check.version:
        refuse("HealthCheckVersionMismatch", "The health check has another version.", 409)
    check.config.update({name: call.params[name] for name in CHANGES if name in call.params})
    check.version += 1
    return {"HealthCheck": check.told()}


@operation("route53", "DeleteHealthCheck")
def delete(call):
    del call.state.health_checks[check_of(call).id]
    return {}


@operation("route53", "GetHealthCheckStatus")
def status(call):
    check = check_of(call)
    if check.config["Type"] not in (*ENDPOINTS, "HTTP_STR_MATCH", "HTTPS_STR_MATCH", "TCP"):
        refuse("InvalidInput", f"The status of a {check.config['Type']} health check cannot be read so.")
    said = "Success: HTTP Status Code 200, OK" if probe(call.lab, call.state, check.config) else "Failure: HTTP Status Code 404"
    seen = {"Status": said, "CheckedTime": datetime.now(timezone.utc)}
    return {"HealthCheckObservations": [{"Region": "eu-west-1", "StatusReport": seen}]}
