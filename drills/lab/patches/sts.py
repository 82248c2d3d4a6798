"""Who am I, and who may become whom.

moto gives a role to whoever asks, whether it exists or not. Here the role's
trust policy decides, as in AWS between accounts; what the caller itself may is
not asked, as nowhere in the lab. (AWS STS API Reference, AssumeRole; IAM User
Guide, "How to use an external ID", "Roles terms and concepts".)
"""

import fnmatch
import re
from datetime import datetime, timezone

from .. import bridge
from . import operation, refuse
from .iam import listed, statements

HOUR = 3600


def session_of(call):
    return call.state.sessions.by_key.get(call.wire.key)


def caller_arn(call):
    session = session_of(call)
    return session.arn if session else f"arn:aws:iam::{call.account}:user/lab"


@operation("sts", "GetCallerIdentity")
def get_caller_identity(call):
    return {"UserId": call.wire.key, "Account": call.account, "Arn": caller_arn(call)}


def role_of(caller):
    """What a session's ARN says of the role behind it; others stand for themselves."""
    named = re.fullmatch(r"arn:aws:sts::(\d{12}):assumed-role/([^/]+)/.+", caller)
    return f"arn:aws:iam::{named.group(1)}:role/{named.group(2)}" if named else caller


def names(statement, call, caller):
    """Whether a statement's principals hold this caller."""
    principal = statement.get("Principal", {})
    if principal == "*":
        return True
    mine = {"*", call.account, f"arn:aws:iam::{call.account}:root", caller, role_of(caller)}
    return any(each in mine for each in listed(principal.get("AWS")))


def values_of(call, caller):
    """The condition keys that the lab knows; all others are not there, and so match nothing."""
    found = {
        "sts:externalid": call.params.get("ExternalId"), "sts:rolesessionname": call.params["RoleSessionName"],
        "aws:principalarn": role_of(caller), "aws:principalaccount": call.account,
    }  # fmt: skip
    return {key: value for key, value in found.items() if value is not None}


TESTS = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": fnmatch.fnmatchcase,
    "ArnEquals": fnmatch.fnmatchcase,
    "ArnLike": fnmatch.fnmatchcase,
}


def holds(statement, values):
    """Whether all conditions hold; one that the lab does not know does not."""
    for test, keys in statement.get("Condition", {}).items():
        check = TESTS.get(test)
        for key, wanted in keys.items():
            value = values.get(key.lower())
            if check is None or value is None or not any(check(value, each) for each in listed(wanted)):
                return False
    return True


def trusted(document, call, caller):
    values = values_of(call, caller)
    mine = [
        each["Effect"]
        for each in statements([document])
        if names(each, call, caller)
        and any(fnmatch.fnmatchcase("sts:AssumeRole", action) for action in listed(each["Action"]))
        and holds(each, values)
    ]
    return "Allow" in mine and "Deny" not in mine


@operation("sts", "AssumeRole")
def assume_role(call):
    """A session of the role, in the role's own account."""
    arn, caller = call.params["RoleArn"], caller_arn(call)
    named = re.fullmatch(r"arn:aws:iam::(\d{12}):role/(?:.*/)?([^/]+)", arn)
    if not named:
        refuse("ValidationError", f"{arn} is invalid")
    account, name = named.groups()
    roles = bridge.backend("iam", account, "aws").get_roles()
    role = next((each for each in roles if each.arn == arn), None)
    # AWS does not tell whether there is such a role.
    if role is None or not trusted(role.assume_role_policy_document, call, caller):
        words = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        refuse("AccessDenied", words, 403)
    seconds = call.params.get("DurationSeconds", HOUR)
    if session_of(call) and seconds > HOUR:
        words = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        refuse("ValidationError", words)
    if seconds > int(role.max_session_duration or HOUR):
        refuse("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    session_name = call.params["RoleSessionName"]
    session = call.lab.account(account).sessions.begin(
        account, f"arn:aws:sts::{account}:assumed-role/{name}/{session_name}", seconds
    )
    return {
        "Credentials": {
            "AccessKeyId": session.key, "SecretAccessKey": session.secret, "SessionToken": session.token,
            "Expiration": datetime.fromtimestamp(session.ends, timezone.utc),
        },
        "AssumedRoleUser": {"AssumedRoleId": f"AROALAB:{session_name}", "Arn": session.arn},
    }  # fmt: skip
