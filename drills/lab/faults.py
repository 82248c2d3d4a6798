"""Faults on demand: which call, and what shall go wrong with it.

A script is a list of rules; the counters a rule looks at belong to one
account and start again with each new script, so "the second write" means
the second since the script was posted.
"""

import threading

ACTIONS = {
    "throttle", "fail_before", "fail_after", "hang_before", "hang_after", "drop_before",
    "drop_after", "expired_token", "access_denied", "no_answer", "garbage", "slow",
}  # fmt: skip
FIELDS = {
    "account", "service", "operation", "region", "rw", "nth", "write_nth", "every", "do",
    "code", "status", "message", "times", "seconds",
}  # fmt: skip

#: the effect happens first, then the answer goes wrong
AFTER = {"fail_after", "hang_after", "drop_after", "garbage"}
HANGS = {"hang_before", "hang_after", "no_answer"}
DROPS = {"drop_before", "drop_after"}

THROTTLES = {
    "s3": ("SlowDown", "Please reduce your request rate.", 503),
    "dynamodb": ("ThrottlingException", "Rate exceeded", 400),
    "ecs": ("ThrottlingException", "Rate exceeded", 400),
    "sns": ("ThrottlingException", "Rate exceeded", 400),
    "cognito-idp": ("TooManyRequestsException", "Too many requests", 400),
}
EXPIRED = {
    "s3": ("ExpiredToken", 400),
    "dynamodb": ("ExpiredTokenException", 400),
    "ecs": ("ExpiredTokenException", 400),
    "cognito-idp": ("ExpiredTokenException", 400),
}


class Fault:
    """What one matched rule does to one call."""

    def __init__(self, rule):
        self.rule = rule
        self.do = rule["do"]

    def error(self, service):
        """(code, message, status) of the answer, for the actions that give one."""
        code, status = self.rule.get("code"), self.rule.get("status")
        message = self.rule.get("message")
        if self.do == "throttle":
            usual = THROTTLES.get(service, ("Throttling", "Rate exceeded", 400))
        elif self.do == "expired_token":
            name, number = EXPIRED.get(service, ("ExpiredToken", 403))
            usual = (name, "The security token included in the request is expired", number)
        elif self.do == "access_denied":
            words = "User is not authorized to perform this operation"
            if service in ("dynamodb", "ecs", "cognito-idp"):
                usual = ("AccessDeniedException", words, 400)
            elif service == "sns":
                usual = ("AuthorizationError", words, 403)
            else:
                usual = ("AccessDenied", words, 403)
        else:
            name = {"s3": "InternalError", "dynamodb": "InternalServerError"}.get(
                service, "ServerException" if service == "ecs" else "InternalFailure"
            )
            usual = (name, "an internal error, on demand of the drill", 500)
        return code or usual[0], message or usual[1], int(status or usual[2])


class Faults:
    """All scripts: one for the whole lab, and one for each account that has its own."""

    def __init__(self):
        self.lock = threading.Lock()
        self.scripts = {}
        self.counts = {}
        self.writes = {}

    def replace(self, document):
        """Takes a script; refuses what it cannot mean."""
        rules = document.get("rules", [])
        for rule in rules:
            unknown = set(rule) - FIELDS
            if unknown:
                raise ValueError(f"unknown field {sorted(unknown)} in {rule}")
            if rule.get("do") not in ACTIONS:
                raise ValueError(f"unknown action {rule.get('do')!r}: one of {sorted(ACTIONS)}")
            if not any(key in rule for key in ("nth", "write_nth", "every")):
                raise ValueError(f"no nth, write_nth or every in {rule}")
        account = document.get("account")
        with self.lock:
            if account:
                self.scripts[account] = [dict(rule, hits=0) for rule in rules]
                self.forget(account)
            else:
                self.scripts = {"*": [dict(rule, hits=0) for rule in rules]}
                self.counts.clear()
                self.writes.clear()

    def forget(self, account):
        """Starts an account's counters again."""
        self.counts = {k: v for k, v in self.counts.items() if k[0] != account}
        self.writes.pop(account, None)

    def drop(self, account):
        """An account is gone: its script and counters with it."""
        with self.lock:
            self.scripts.pop(account, None)
            self.forget(account)

    def pick(self, call):
        """Counts the call and gives the fault that strikes it, or None."""
        with self.lock:
            key = (call.account, call.service, call.name)
            nth = self.counts[key] = self.counts.get(key, 0) + 1
            write = 0
            if not call.is_read:
                write = self.writes[call.account] = self.writes.get(call.account, 0) + 1
            for rule in [*self.scripts.get(call.account, []), *self.scripts.get("*", [])]:
                if matches(rule, call) and struck(rule, nth, write):
                    rule["hits"] += 1
                    return Fault(rule)
        return None

    def show(self):
        with self.lock:
            return {account: list(rules) for account, rules in self.scripts.items()}


def matches(rule, call):
    """Whether a rule speaks of this call at all."""
    wanted = (
        ("account", call.account), ("service", call.service), ("operation", call.name),
        ("region", call.region), ("rw", "read" if call.is_read else "write"),
    )  # fmt: skip
    return all(rule.get(field, "*") in ("*", value) for field, value in wanted)


def struck(rule, nth, write):
    """Whether this is the call it waits for."""
    times = int(rule.get("times", 1))
    if rule.get("every"):
        return "times" not in rule or rule["hits"] < times
    if "write_nth" in rule:
        return write > 0 and within(rule["write_nth"], write, times)
    return within(rule["nth"], nth, times)


def within(wanted, number, times):
    starts = wanted if isinstance(wanted, list) else [wanted]
    return any(int(start) <= number < int(start) + times for start in starts)
