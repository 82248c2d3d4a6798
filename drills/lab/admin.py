"""The admin endpoint: how a drill steers the lab. JSON over HTTP."""

import json
import threading
from urllib.parse import parse_qs, urlsplit

from . import VERSION, seed, seed_objects
from .http_server import Handler


class AdminHandler(Handler):
    """GET status, calls, dump; POST region, fault, sms, sessions, seed, reset, calls/clear, shutdown."""

    def say(self, status, document, kind="application/json"):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.reply(status, {"Content-Type": kind}, body)

    def run(self, table):
        parts = urlsplit(self.path)
        query = {k: v[-1] for k, v in parse_qs(parts.query).items()}
        function = table.get(parts.path.rstrip("/"))
        raw = self.body()
        if function is None:
            return self.say(404, {"error": f"no {self.command} {parts.path}", "have": sorted(table)})
        try:
            document = json.loads(raw) if raw.strip() else {}
            return function(self, query, document)
        except (ValueError, KeyError, TypeError) as error:
            return self.say(400, {"error": f"{type(error).__name__}: {error}"})

    def do_GET(self):
        self.run(GETS)

    def do_POST(self):
        self.run(POSTS)


def status(handler, query, document):
    lab = handler.server.lab
    handler.say(
        200,
        {
            "version": VERSION, "started_at": lab.started_at, **lab.addresses,
            "accounts": sorted(lab.accounts), "down": lab.regions.show(),
            "faults": lab.faults.show(), "looks": lab.looks, "seconds": lab.seconds,
            "calls": lab.calls.last,
        },
    )  # fmt: skip


def calls(handler, query, document):
    lines = handler.server.lab.calls.after(query.get("account"), int(query.get("after", 0)))
    body = "".join(line + "\n" for line in lines).encode()
    handler.say(200, body, "application/x-ndjson")


def dump(handler, query, document):
    text = handler.server.lab.dump(query["account"], query.get("mask", "0") in ("1", "true"))
    handler.say(200, text.encode() + b"\n")


def expected(handler, query, document):
    lab = handler.server.lab
    with lab.lock:
        account = lab.accounts[query["account"]]
        found = seed_objects.expected(account, account.seed or {"copies": ()})
    handler.say(200, found)


def region(handler, query, document):
    handler.server.lab.regions.set(document)
    handler.say(200, {"down": handler.server.lab.regions.show()})


def fault(handler, query, document):
    handler.server.lab.faults.replace(document)
    handler.say(200, {"faults": handler.server.lab.faults.show()})


def clear(handler, query, document):
    handler.server.lab.calls.clear(query.get("account") or document.get("account"))
    handler.say(200, {"last": handler.server.lab.calls.last})


def plant(handler, query, document):
    handler.server.lab.reset(document["account"])
    handler.say(200, seed.plant(handler.server.lab, document))


def sms(handler, query, document):
    lab = handler.server.lab
    with lab.lock:
        lab.account(document["account"]).sms.set(document)
    handler.say(200, {"sms": document["account"]})


def sessions(handler, query, document):
    lab = handler.server.lab
    with lab.lock:
        lab.account(document["account"]).sessions.set(document)
    handler.say(200, {"sessions": document["account"]})


def reset(handler, query, document):
    handler.server.lab.reset(document["account"])
    handler.say(200, {"reset": document["account"]})


def shutdown(handler, query, document):
    handler.say(200, {"stopping": True})
    threading.Thread(target=handler.server.stop_all, daemon=True).start()


GETS = {"/status": status, "/calls": calls, "/dump": dump, "/expected": expected}
POSTS = {
    "/region": region, "/fault": fault, "/calls/clear": clear, "/seed": plant, "/reset": reset,
    "/sms": sms, "/sessions": sessions,
    "/shutdown": shutdown,
}  # fmt: skip
