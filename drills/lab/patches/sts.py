"""Who am I: the account of the key, nothing more."""

import re
from datetime import datetime, timedelta, timezone

from ..wire import SCOPE
from . import operation, refuse


def key_of(call):
    found = SCOPE.search(call.wire.headers.get("authorization", ""))
    return found.group(1) if found else ""


@operation("sts", "GetCallerIdentity")
def get_caller_identity(call):
    key = key_of(call)
    arn = call.state.callers.get(key, f"arn:aws:iam::{call.account}:user/lab")
    return {"UserId": key, "Account": call.account, "Arn": arn}


@operation("sts", "AssumeRole")
def assume_role(call):
    """Keys whose digits are the role's account, so that later calls land there."""
    named = re.fullmatch(r"arn:aws:iam::(\d{12}):role/(?:.*/)?([^/]+)", call.params["RoleArn"])
    if not named:
        refuse("ValidationError", f"{call.params['RoleArn']} is invalid")
    account, role = named.groups()
    session = call.params["RoleSessionName"]
    key = f"LAB{account}R{call.state.number()}"
    arn = f"arn:aws:sts::{account}:assumed-role/{role}/{session}"
    if account == call.account:
        call.state.callers[key] = arn
    ends = datetime.now(timezone.utc) + timedelta(seconds=call.params.get("DurationSeconds", 3600))
    return {
        "Credentials": {
            "AccessKeyId": key, "SecretAccessKey": "lab", "SessionToken": "lab",
            "Expiration": ends,
        },
        "AssumedRoleUser": {"AssumedRoleId": f"AROALAB:{session}", "Arn": arn},
    }  # fmt: skip
