"""The log of every call: what a drill is judged by.

Each line is one JSON object, in the file and in memory; memory is what the
admin endpoint reads, so asking is cheap however long the log is.
"""

import base64
import hashlib
import json
import threading
import time
from bisect import bisect_right
from datetime import datetime

BODY_MAX = 2048
TOKENS = {
    "ClientToken", "clientToken", "CallerReference", "ClientRequestToken",
    "IdempotencyToken", "ClientRequestTokens",
}  # fmt: skip


def shown(value):
    """A parameter as it may stand in a log: no bytes, nothing long."""
    if isinstance(value, dict):
        return {str(k): shown(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [shown(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat() + ("" if value.tzinfo else "Z")
    if isinstance(value, bytes):
        if len(value) > BODY_MAX:
            return {"sha256": hashlib.sha256(value).hexdigest(), "length": len(value)}
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, str) and len(value) > BODY_MAX:
        raw = value.encode()
        return {"sha256": hashlib.sha256(raw).hexdigest(), "length": len(raw)}
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def tokens(value, found=None):
    """Every idempotency token inside the parameters."""
    found = {} if found is None else found
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in TOKENS and isinstance(inner, str):
                found[key] = inner
            else:
                tokens(inner, found)
    elif isinstance(value, list):
        for inner in value:
            tokens(inner, found)
    return found


class Calls:
    """All calls of all accounts, in order."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = open(path, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
        self.by_account = {}
        self.last = 0

    def add(self, account, region, service, operation, rw, request, **rest):
        """Writes one line and gives its number."""
        entry = {
            "at": int(time.time() * 1000), "account": account, "region": region,
            "service": service, "operation": operation, "rw": rw, "request": shown(request),
            "status": rest.get("status"), "error": rest.get("error"),
            "fault": rest.get("fault"), "effect": rest.get("effect", "none"),
        }  # fmt: skip
        known = tokens(request) if isinstance(request, dict) else {}
        if known:
            entry["tokens"] = known
        with self.lock:
            self.last += 1
            entry = {"n": self.last, **entry}
            line = json.dumps(entry, ensure_ascii=False)
            numbers, lines = self.by_account.setdefault(account or "", ([], []))
            numbers.append(self.last)
            lines.append(line)
            self.file.write(line + "\n")
        return self.last

    def after(self, account, number):
        """The lines of an account (or of all) after a number."""
        with self.lock:
            if account:
                numbers, lines = self.by_account.get(account, ([], []))
                return lines[bisect_right(numbers, number) :]
            merged = []
            for numbers, lines in self.by_account.values():
                at = bisect_right(numbers, number)
                merged += zip(numbers[at:], lines[at:], strict=True)
            return [line for _, line in sorted(merged)]

    def clear(self, account):
        """Forgets an account's lines in memory; the file keeps them."""
        with self.lock:
            if account:
                self.by_account.pop(account, None)
            else:
                self.by_account.clear()

    def close(self):
        with self.lock:
            self.file.close()
