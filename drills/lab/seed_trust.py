"""Roles that are assumed from other accounts, where the seed is asked for them."""

import json

from . import bridge


def roles(account, wanted):
    """`{"name", "path", "trusts": [accounts], "external_id", "session": pattern, "max_session"}` each; the reply names their ARNs."""
    here = bridge.backend("iam", account.name, "aws")
    found = {}
    for role in wanted:
        unknown = set(role) - {"name", "path", "trusts", "external_id", "session", "max_session"}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        keys = {"sts:ExternalId": role.get("external_id"), "sts:RoleSessionName": role.get("session")}
        tests = {key: value for key, value in keys.items() if value is not None}
        statement = {
            "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": ["*" if each == "*" else f"arn:aws:iam::{each}:root" for each in role["trusts"]]},
            **({"Condition": {"StringLike": tests}} if tests else {}),
        }  # fmt: skip
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        longest = str(role.get("max_session", 3600))
        made = here.create_role(role["name"], trust, role.get("path", "/"), None, "", [], longest)
        found[f"role_{role['name']}"] = made.arn
    return found
