"""ARC's routing controls: one cluster, five endpoints, each under its own URL and signed for its own region.

A change is taken by one endpoint and shown by it at once; the others show it
after so many looks of their own. It needs a quorum of endpoints that are up.
Which endpoint is meant, path and signature have to say alike. (Routing Control
API reference; ARC Developer Guide, "Best practices for routing control",
"Safety rules".)
"""

import time

from ..errors import LabError
from ..routing import QUORUM, REGIONS
from . import operation, refuse

SERVICE = "route53-recovery-cluster"
#: how many states one call changes; the quota is not published, the refusal is
BATCH_MAX = 10


def path(region):
    """Where the endpoint of a region is, below the lab's own address."""
    return f"/{SERVICE}/{region}/v1"


def settle(wire):
    """Brings a request to an endpoint to the form in which the model knows it."""
    if wire.service != SERVICE:
        return
    asked = next((region for region in REGIONS if wire.path.rstrip("/") == path(region)), None)
    if asked is None:
        raise LabError("UnknownEndpoint", f"no endpoint of a cluster is at {wire.path}", 404)
    if asked != wire.region:
        words = f"Credential should be scoped to a valid region: {asked}, not {wire.region}."
        raise LabError("InvalidSignatureException", words, 403)
    wire.path = "/"


def control_of(call, arn):
    found = call.state.routing.controls.get(arn)
    if found is None:
        what = {"resourceId": arn, "resourceType": "RoutingControl"}
        refuse("ResourceNotFoundException", f"Routing control {arn} not found.", extra=what)
    return found


def progress(region):
    return ("routing", region)


def look(call):
    """A look at one endpoint: what it will show after enough of them."""
    call.state.look(progress(call.region))


@operation(SERVICE, "GetRoutingControlState")
def get_state(call):
    control = control_of(call, call.params["RoutingControlArn"])
    shown = call.state.routing.shown(call.region, control)
    look(call)
    return {"RoutingControlArn": control.arn, "RoutingControlState": shown, "RoutingControlName": control.name}


@operation(SERVICE, "ListRoutingControls")
def list_controls(call):
    routing, panel = call.state.routing, call.params.get("ControlPanelArn")
    if "NextToken" in call.params:
        refuse("ValidationException", "The token is not one that was given.")
    found = [control for control in routing.controls.values() if panel in (None, control.panel)]
    told = [
        {
            "ControlPanelArn": control.panel, "RoutingControlArn": control.arn, "RoutingControlName": control.name,
            "RoutingControlState": routing.shown(call.region, control), "Owner": call.account,
        }
        for control in found
    ]  # fmt: skip
    look(call)
    return {"RoutingControls": told}


@operation(SERVICE, "UpdateRoutingControlState")
def update_state(call):
    change(call, {call.params["RoutingControlArn"]: call.params["RoutingControlState"]})
    return {}


@operation(SERVICE, "UpdateRoutingControlStates")
def update_states(call):
    entries = call.params["UpdateRoutingControlStateEntries"]
    wanted = {entry["RoutingControlArn"]: entry["RoutingControlState"] for entry in entries}
    if not entries or len(wanted) != len(entries):
        refuse("ValidationException", "UpdateRoutingControlStateEntries names no control, or one of them twice.")
    if len(entries) > BATCH_MAX:
        what = {"limitCode": "RoutingControlStatesPerRequest", "serviceCode": SERVICE}
        refuse("ServiceLimitExceededException", f"{len(entries)} states are more than {BATCH_MAX}.", extra=what)
    change(call, wanted)
    return {}


def change(call, wanted):
    """All of it or nothing, if enough endpoints are up and every rule agrees."""
    routing = call.state.routing
    controls = {arn: control_of(call, arn) for arn in wanted}
    up = [region for region in REGIONS if not call.lab.regions.mode(call.account, SERVICE, region)]
    if len(up) < QUORUM:
        refuse("EndpointTemporarilyUnavailableException", "The cluster endpoint isn't available.")
    after = {arn: wanted.get(arn, control.state) for arn, control in routing.controls.items()}
    overridden = call.params.get("SafetyRulesToOverride") or []
    judged = [rule for rule in routing.rules if rule.arn not in overridden and set(rule.controls) & set(wanted)]
    for rule in judged:
        judge(rule, after)
    before = {region: {arn: routing.shown(region, control) for arn, control in controls.items()} for region in REGIONS}
    changes = any(controls[arn].state != state for arn, state in wanted.items())
    for arn, state in wanted.items():
        controls[arn].state = state
    for rule in judged:
        rule.changed = time.monotonic() if changes else rule.changed
    for region in REGIONS:
        spread(call, region, before[region], wanted)


def spread(call, region, before, wanted):
    """What an endpoint shows from now on: the taker the truth, the others what they showed until they have seen it."""
    stale = call.state.routing.stale
    late = {**stale.get(region, {}), **before}
    if region == call.region or all(late[arn] == state for arn, state in wanted.items()):
        late = {arn: state for arn, state in stale.get(region, {}).items() if arn not in wanted}
    stale[region] = late
    if late:
        call.state.begin(progress(region), lambda: stale.pop(region, None))
    else:
        stale.pop(region, None)
        call.state.stop(progress(region))


def judge(rule, after):
    """Refuses what a rule forbids, by its ARN."""
    what = {"resourceId": rule.arn, "resourceType": "SafetyRule"}
    if rule.changed is not None and time.monotonic() - rule.changed < rule.wait:
        refuse("ConflictException", f"The wait period of safety rule {rule.arn} is not over.", extra=what)
    if sum(after[arn] == "On" for arn in rule.controls) < rule.least:
        words = f"The request would violate safety rule {rule.name} ({rule.arn})."
        refuse("ConflictException", words, extra=what)


def state(account):
    """The controls as they are, whatever an endpoint still shows."""
    return {control.name: control.state for control in account.routing.controls.values()}
