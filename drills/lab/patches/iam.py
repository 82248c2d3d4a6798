"""IAM: what the simulator says of a role, by the policies that it has.

moto keeps roles and policies and does not simulate. A statement with conditions
counts as if it did not match, and their keys are what the simulator would have to
be told. Whoever is no role may do everything, as everywhere in the lab.
(IAM API reference, SimulatePrincipalPolicy.)
"""

import json
import re

from .. import bridge
from . import operation, refuse


def listed(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def matches(patterns, value, flags=0):
    """Whether a text is one of these, in which * and ? stand for others."""
    forms = (re.escape(each).replace(r"\*", ".*").replace(r"\?", ".") for each in listed(patterns))
    return any(re.fullmatch(form, value, flags) for form in forms)


def concerns(statement, action, resource):
    """Whether a statement speaks of an action on a resource."""
    by_action = matches(statement.get("Action", statement.get("NotAction")), action, re.IGNORECASE)
    by_resource = matches(statement.get("Resource", statement.get("NotResource")), resource)
    return by_action != ("NotAction" in statement) and by_resource != ("NotResource" in statement)


def statements(documents):
    return [each for document in documents for each in listed(json.loads(document)["Statement"])]


def verdict(all_of_them, action, resource):
    """(decision, keys of conditions that decide) by these statements."""
    mine = [each for each in all_of_them if concerns(each, action, resource)]
    missing = {key for each in mine for test in each.get("Condition", {}).values() for key in test}
    effects = {each["Effect"] for each in mine if not each.get("Condition")}
    decision = "explicitDeny" if "Deny" in effects else "allowed" if "Allow" in effects else "implicitDeny"
    return decision, sorted(missing)


def in_force(policy):
    return next(version.document for version in policy.versions if version.is_default)


@operation("iam", "SimulatePrincipalPolicy")
def simulate(call):
    here = bridge.backend("iam", call.account, "aws")
    source = call.params["PolicySourceArn"]
    if ":role/" not in source:
        return everything(call)
    role = next((each for each in here.get_roles() if each.arn == source), None)
    if role is None:
        refuse("NoSuchEntity", f"The role with ARN {source} cannot be found.", 404)
    granted = statements([*role.policies.values(), *(in_force(each) for each in role.managed_policies.values())])
    bound = next((each for each in here.managed_policies.values() if each.arn == role.permissions_boundary_arn), None)
    limits = statements([in_force(bound)]) if bound else None
    return results(call, lambda action, resource: both(granted, limits, action, resource))


def both(granted, limits, action, resource):
    """What the policies say, within the boundary."""
    decision, missing = verdict(granted, action, resource)
    within = limits is None or verdict(limits, action, resource)[0] == "allowed"
    if decision == "allowed" and not within:
        decision = "implicitDeny"
    bounds = {} if limits is None else {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": within}}
    return decision, missing, bounds


@operation("iam", "SimulateCustomPolicy")
def everything(call):
    return results(call, lambda *_: ("allowed", [], {}))


def results(call, judge):
    """One result for each action, with those of each resource where some are named."""
    named = call.params.get("ResourceArns") or ["*"]
    told = []
    for action in call.params["ActionNames"]:
        if ":" not in action:
            refuse("InvalidInput", f"Invalid Entity Action: {action}")
        each = [(resource, *judge(action, resource)) for resource in named]
        decisions = [decision for _, decision, _, _ in each]
        result = {
            "EvalActionName": action, "EvalResourceName": named[0], "MatchedStatements": [],
            "EvalDecision": next((d for d in ("explicitDeny", "implicitDeny") if d in decisions), "allowed"),
        }  # fmt: skip
        if named == ["*"]:
            result |= {"MissingContextValues": each[0][2], **each[0][3]}
        else:
            result["ResourceSpecificResults"] = [
                {"EvalResourceName": resource, "EvalResourceDecision": decision, "MissingContextValues": missing, **bounds}
                for resource, decision, missing, bounds in each
            ]
        told.append(result)
    return {"EvaluationResults": told, "IsTruncated": False}
