"""The lab itself: the parts, and the way a request takes through them.

understand -> validate -> region -> fault -> answer -> fault -> log.
One lock is held while moto or a patch answers, never while anything waits.
"""

import hashlib
import json
import sys
import threading
import time
import traceback

from . import bridge, cbor, dump, patches
from .calls import Calls
from .errors import LabError, code_in, render, validation_code
from .faults import AFTER, DROPS, HANGS, Faults
from .parse import protocol_of, understand
from .patches import routing_controls
from .progress import Account
from .regions import Regions
from .validate import summary, violations

HANG, DROP = "hang", "drop"


def tongue(wire):
    """The protocol in which a request is refused that was not understood."""
    return "json" if wire.cbor else protocol_of(wire.service or "s3")


class Lab:
    """All accounts, the faults, the regions and the log."""

    def __init__(self, folder, looks=2, seconds=None):
        self.lock = threading.RLock()
        self.accounts = {}
        self.looks = looks
        self.seconds = seconds
        self.faults = Faults()
        self.regions = Regions()
        self.calls = Calls(f"{folder}/calls.jsonl")
        self.addresses = {}
        self.started_at = int(time.time() * 1000)

    def account(self, name):
        """An account; there is one for each name that is asked for."""
        with self.lock:
            if name not in self.accounts:
                self.accounts[name] = Account(name, self.looks, self.seconds)
            return self.accounts[name]

    def reset(self, name):
        """Everything of an account, gone."""
        with self.lock:
            bridge.drop(name)
            self.accounts.pop(name, None)
            self.faults.drop(name)
            self.regions.drop(name)
            self.calls.clear(name)

    def dump(self, name, mask=False):
        with self.lock:
            account = self.account(name)
            account.tick()
            return dump.whole(account, mask)

    def answer(self, wire):
        """(status, headers, body), or HANG or DROP in place of it."""
        wire.cbor = cbor.spoken(wire)
        result = self.answered(wire)
        return cbor.told(wire, result) if wire.cbor else result

    def answered(self, wire):
        """The same in a protocol that moto speaks."""
        try:
            wire.identify()
            wire.settle_s3()
            routing_controls.settle(wire)
            if wire.cbor:
                cbor.settle(wire)
        except LabError as error:
            self.calls.add(
                wire.account, wire.region, wire.service, None, None,
                {"path": wire.path}, status=error.status, error=error.code,
            )  # fmt: skip
            return render(error, wire.service or "s3", tongue(wire))
        try:
            call = understand(wire)
        except LabError as error:
            return self.refuse_unread(wire, error)
        call.state, call.lab = self.account(call.account), self
        return Turn(self, call).take()

    def refuse_unread(self, wire, error):
        """A request that its model cannot even read."""
        down = self.regions.mode(wire.account, wire.service, wire.region)
        name = getattr(getattr(error, "call", None), "name", None)
        self.calls.add(
            wire.account, wire.region, wire.service, name, "write",
            {"path": wire.path}, status=None if down else error.status,
            error=None if down else error.code, fault=f"model-violation: {error.message}",
        )  # fmt: skip
        if down:
            return HANG if down == "hang" else DROP
        return render(error, wire.service, tongue(wire))

    def close(self):
        self.calls.close()


class Turn:
    """One understood call on its way to an answer."""

    def __init__(self, lab, call):
        self.lab = lab
        self.call = call
        self.effect = "none"

    def log(self, status=None, error=None, fault=None):
        call = self.call
        self.lab.calls.add(
            call.account, call.region, call.service, call.name,
            "read" if call.is_read else "write", call.params,
            status=status, error=error, fault=fault, effect=self.effect,
        )  # fmt: skip

    def refuse(self, error, fault=None):
        self.log(error.status, error.code, fault)
        return render(error, self.call.service, self.call.protocol)

    def take(self):
        call = self.call
        down = self.lab.regions.mode(call.account, call.service, call.region)
        if down:
            self.log(fault=f"region-down: {down}")
            return HANG if down == "hang" else DROP
        try:
            call.state.sessions.judge(call)
        except LabError as error:
            return self.refuse(error, "session")
        wrong = violations(call)
        if wrong:
            code = validation_code(call.service, call.protocol)
            return self.refuse(LabError(code, summary(wrong)), f"model-violation: {'; '.join(wrong)}")
        fault = self.lab.faults.pick(call)
        if fault is None:
            status, headers, body = self.do()
            self.log(status, code_in(status, headers, body))
            return status, headers, body
        return self.strike(fault)

    def strike(self, fault):
        """Answers under a fault."""
        if fault.do == "slow":
            time.sleep(min(float(fault.rule.get("seconds", 1)), 60))
        if fault.do in AFTER or fault.do == "slow":
            status, headers, body = self.do()
            if fault.do == "slow":
                self.log(status, code_in(status, headers, body), fault.do)
                return status, headers, body
        if fault.do in HANGS or fault.do in DROPS:
            self.log(fault=fault.do)
            return HANG if fault.do in HANGS else DROP
        if fault.do == "garbage":
            self.log(200, None, fault.do)
            return 200, {"Content-Type": "text/html"}, b"<html>\x00\xffnot the answer{"
        code, message, status = fault.error(self.call.service)
        return self.refuse(LabError(code, message, status), fault.do)

    def do(self):
        """The real answer, with the account's state compared around a write."""
        call = self.call
        with self.lab.lock:
            call.state.tick()
            before = None if call.is_read else self.print()
            try:
                status, headers, body = patches.answer(call)
            except LabError as error:
                status, headers, body = render(error, call.service, call.protocol)
            except Exception as error:
                traceback.print_exc(file=sys.stderr)
                bug = LabError("LabBug", f"the lab itself failed: {error!r}", 500)
                status, headers, body = render(bug, call.service, call.protocol)
            if before is not None and status < 500:
                self.effect = "same" if self.print() == before else "changed"
                if status >= 400 and self.effect == "same":
                    self.effect = "none"
        return status, headers, body

    def print(self):
        """A fingerprint of what this call could change."""
        state = dump.part(self.call.state, self.call.service, self.call.params)
        text = json.dumps(state, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode()).hexdigest()
