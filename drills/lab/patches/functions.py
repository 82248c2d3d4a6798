"""Lambda functions as a recovery meets them: versions, aliases that are compared and swapped, concurrency, event
source mappings, and invocations that answer what the seed says.

They live here alone, beside moto's functions, which are asked for whatever is not found here. No code runs.
"""

import base64
import json
import re
import uuid

from .. import bridge
from . import operation, refuse

NAME = re.compile(r"^(?:.*function:)?([A-Za-z0-9-_]+)(?::([$A-Za-z0-9-_]+))?$")
#: of an account's concurrent executions, so many stay for functions that reserve none (AWS Lambda API Reference)
CONCURRENT, UNRESERVED = 1000, 100
LOG_BYTES = 4096
SCRIPT = {"answer": {"status": "ok"}, "error": None, "log": "START\nEND\n"}


class Function:
    """A function of one region."""

    def __init__(self, account, region, name, versions):
        self.name = name
        self.arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
        self.state, self.update = "Active", "Successful"
        self.versions = ["$LATEST", *versions]
        self.aliases = {}
        self.reserved = None
        self.provisioned = {}
        self.invokes = [SCRIPT]
        self.invoked = []
        self.rest = "READY"

    def alias(self, name, version):
        self.aliases[name] = {"version": version, "weights": {}, "revision": str(uuid.uuid4()), "description": ""}

    def resolve(self, qualifier):
        """The version that a qualifier means."""
        if qualifier in self.aliases:
            return self.aliases[qualifier]["version"]
        if qualifier not in self.versions:
            missing(f"{self.arn}:{qualifier}")
        return qualifier

    def script(self):
        """What the next invocation does; the last of them holds for all that follow."""
        return {**SCRIPT, **(self.invokes.pop(0) if len(self.invokes) > 1 else self.invokes[0])}


def missing(arn):
    refuse("ResourceNotFoundException", f"Function not found: {arn}", 404)


def kept(state):
    """The account's functions and event source mappings; made at the first use."""
    return state.__dict__.setdefault("functions", {"functions": {}, "mappings": {}})


def answers(*names):
    """Registers what is asked of the lab's own functions; moto is asked for others."""

    def register(function):
        def answer(call):
            name, qualifier = NAME.match(call.params["FunctionName"]).groups()
            found = kept(call.state)["functions"].get((call.region, name))
            if found is None:
                return bridge.dispatch(call)
            return function(call, found, call.params.get("Qualifier") or qualifier)

        operation("lambda", *names)(answer)
        return function

    return register


@answers("GetFunctionConfiguration")
def configuration(call, found, qualifier):
    version = found.resolve(qualifier or "$LATEST")
    arn = f"{found.arn}:{qualifier}" if qualifier else found.arn
    return {
        "FunctionName": found.name, "FunctionArn": arn, "Version": version, "State": found.state,
        "LastUpdateStatus": found.update, "Runtime": "provided.al2023", "PackageType": "Zip",
        "CodeSha256": base64.b64encode(f"{found.name} {version}".encode()).decode(),
    }  # fmt: skip


@answers("ListVersionsByFunction")
def versions(call, found, _):
    return {"Versions": [configuration(call, found, version) for version in found.versions]}


def shown(found, name):
    alias = found.aliases.get(name)
    if alias is None:
        refuse("ResourceNotFoundException", f"Cannot find alias arn: {found.arn}:{name}", 404)
    weights = {"RoutingConfig": {"AdditionalVersionWeights": alias["weights"]}} if alias["weights"] else {}
    return {
        "AliasArn": f"{found.arn}:{name}", "Name": name, "FunctionVersion": alias["version"],
        "Description": alias["description"], "RevisionId": alias["revision"], **weights,
    }  # fmt: skip


@answers("GetAlias")
def get_alias(call, found, _):
    return shown(found, call.params["Name"])


@answers("UpdateAlias")
def update_alias(call, found, _):
    name, wanted = call.params["Name"], call.params
    shown(found, name)
    alias = found.aliases[name]
    if wanted.get("RevisionId") not in (None, alias["revision"]):
        words = "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        refuse("PreconditionFailedException", words, 412)
    version = wanted.get("FunctionVersion") or alias["version"]
    if version not in found.versions:
        missing(f"{found.arn}:{version}")
    weights = alias["weights"]
    if wanted.get("RoutingConfig") is not None:
        weights = wanted["RoutingConfig"].get("AdditionalVersionWeights") or {}
    if any(other not in found.versions or other == version for other in weights):
        refuse("InvalidParameterValueException", "The weights of an alias are of other versions that are there.")
    alias |= {"version": version, "weights": weights, "revision": str(uuid.uuid4())}
    if "Description" in wanted:
        alias["description"] = wanted["Description"]
    if name in found.provisioned:
        allocate(call, found, name)
    return shown(found, name)


@answers("GetFunctionConcurrency")
def get_reserved(call, found, _):
    return {} if found.reserved is None else {"ReservedConcurrentExecutions": found.reserved}


@answers("PutFunctionConcurrency")
def put_reserved(call, found, _):
    wanted = call.params["ReservedConcurrentExecutions"]
    others = sum(f.reserved or 0 for f in kept(call.state)["functions"].values() if f is not found)
    if wanted + others > CONCURRENT - UNRESERVED:
        words = "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100]."
        refuse("InvalidParameterValueException", words)
    if wanted < sum(each["wanted"] for each in found.provisioned.values()):
        words = "ReservedConcurrentExecutions for function should not be lower than function's total provisioned concurrency."
        refuse("InvalidParameterValueException", words)
    found.reserved = wanted
    return {"ReservedConcurrentExecutions": wanted}


@answers("DeleteFunctionConcurrency")
def delete_reserved(call, found, _):
    found.reserved = None
    return 204, {}, b""


def allocate(call, found, qualifier):
    """Provisioned concurrency is made ready, or fails as the seed says."""
    each = found.provisioned[qualifier]
    each["status"] = "IN_PROGRESS"
    call.state.begin(("provisioned", found.arn, qualifier), lambda: each.update(status=found.rest))


def told(each):
    ready = each["wanted"] if each["status"] == "READY" else 0
    reason = {"StatusReason": "FUNCTION_ERROR_INIT_FAILURE"} if each["status"] == "FAILED" else {}
    return {
        "RequestedProvisionedConcurrentExecutions": each["wanted"], "Status": each["status"],
        "AllocatedProvisionedConcurrentExecutions": ready, "AvailableProvisionedConcurrentExecutions": ready, **reason,
    }  # fmt: skip


def provisioned(found, qualifier):
    found.resolve(qualifier)
    if qualifier not in found.provisioned:
        words = "No Provisioned Concurrency Config found for this function"
        refuse("ProvisionedConcurrencyConfigNotFoundException", words, 404)
    return found.provisioned[qualifier]


@answers("GetProvisionedConcurrencyConfig")
def get_provisioned(call, found, qualifier):
    call.state.look(("provisioned", found.arn, qualifier))
    return told(provisioned(found, qualifier))


@answers("PutProvisionedConcurrencyConfig")
def put_provisioned(call, found, qualifier):
    wanted = call.params["ProvisionedConcurrentExecutions"]
    found.resolve(qualifier)
    if qualifier == "$LATEST":
        words = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        refuse("InvalidParameterValueException", words)
    others = sum(each["wanted"] for name, each in found.provisioned.items() if name != qualifier)
    if found.reserved is not None and wanted + others > found.reserved:
        words = "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
        refuse("InvalidParameterValueException", words)
    found.provisioned[qualifier] = {"wanted": wanted, "status": "IN_PROGRESS"}
    allocate(call, found, qualifier)
    body = json.dumps(told(found.provisioned[qualifier])).encode()
    return 202, {"Content-Type": "application/json"}, body


@answers("DeleteProvisionedConcurrencyConfig")
def delete_provisioned(call, found, qualifier):
    provisioned(found, qualifier)
    del found.provisioned[qualifier]
    call.state.stop(("provisioned", found.arn, qualifier))
    return 204, {}, b""


@answers("Invoke")
def invoke(call, found, qualifier):
    version = found.resolve(qualifier or "$LATEST")
    payload = call.params.get("Payload") or b"null"
    try:
        payload = json.loads(payload)
    except ValueError:
        refuse("InvalidRequestContentException", "Could not parse request body into json.")
    if found.state in ("Pending", "Failed"):
        words = f"The operation cannot be performed at this time. The function is currently in the following state: {found.state}"
        refuse("ResourceConflictException", words, 409)
    kind = call.params.get("InvocationType") or "RequestResponse"
    if kind == "DryRun":
        return 204, {}, b""
    if found.reserved == 0:
        refuse("TooManyRequestsException", "Rate Exceeded.", 429, extra={"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"})
    found.invoked.append({"version": version, "payload": payload})
    if kind == "Event":
        return 202, {}, b""
    script = found.script()
    headers = {"Content-Type": "application/json", "X-Amz-Executed-Version": version}
    if script["error"]:
        headers["X-Amz-Function-Error"] = script["error"]
    if call.params.get("LogType") == "Tail":
        headers["X-Amz-Log-Result"] = base64.b64encode(script["log"].encode()[-LOG_BYTES:]).decode()
    return 200, headers, json.dumps(script["answer"]).encode()


def mapping(call):
    found = kept(call.state)["mappings"].get((call.region, call.params["UUID"]))
    if found is None:
        refuse("ResourceNotFoundException", "The resource you requested does not exist.", 404)
    return found


def mapped(found):
    return {key: value for key, value in found.items() if not key.startswith("lab_")}


@operation("lambda", "GetEventSourceMapping")
def get_mapping(call):
    call.state.look(("mapping", call.region, call.params["UUID"]))
    return mapped(mapping(call))


@operation("lambda", "UpdateEventSourceMapping")
def update_mapping(call):
    found, wanted = mapping(call), call.params.get("Enabled")
    if found["State"] not in ("Enabled", "Disabled"):
        refuse("ResourceInUseException", "Cannot update the event source mapping because it is in use.")
    if wanted is not None and found["State"] != ("Enabled" if wanted else "Disabled"):
        rest = "Enabled" if wanted else "Disabled"
        found["State"] = "Enabling" if wanted else "Disabling"
        call.state.begin(("mapping", call.region, found["UUID"]), lambda: found.update(State=rest))
    return 202, {"Content-Type": "application/json"}, json.dumps(mapped(found)).encode()


def state(account):
    """Functions and mappings as plain data; revisions are made up by the service."""
    everything = kept(account)
    functions = {
        f.arn: {
            "state": f.state, "reserved": f.reserved, "provisioned": f.provisioned, "invoked": f.invoked,
            "aliases": {n: {**a, "revision": str(uuid.UUID(a["revision"]))} for n, a in f.aliases.items()},
        }
        for f in everything["functions"].values()
    }  # fmt: skip
    mappings = {f"{region} {name}": mapped(found) for (region, name), found in everything["mappings"].items()}
    return {"functions": functions, "mappings": mappings}
