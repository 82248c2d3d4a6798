"""Is it up, seen from outside: the answer a customer would get.

A service is well when its tasks run and everything it stands on is well, by
the graph of the seed; the site is well when the edge, the name and the web
service all lead to the recovery region.
"""

import json
import re
from functools import partial
from urllib.parse import urlsplit

from . import bridge
from .answers import lookup, zone_for
from .http_server import Handler
from .patches import cloudfront, ecs, key_values
from .patches.rds import USABLE
from .patches.route53_health import healthy
from .patches.route53_rules import normal_name

HOST = re.compile(r"^([a-z0-9-]+)\.(\d{12})\.lab\.test(?::\d+)?$")
PATH = re.compile(r"^/(\d{12})/([a-z0-9-]+)/health$")
#: an application of an account, and an order there that only who says MAY may see
APP = re.compile(r"^/\d{12}/app(/orders/canary)?$")
MAY = "may"
#: what a function at the edge reads from the KeyValueStore
EDGE = re.compile(r"^/(\d{12})/edge/([a-z0-9-]+)$")


class HealthHandler(Handler):
    """200 when well, 503 with the reasons when not."""

    def do_GET(self):
        self.body()
        app = APP.match(urlsplit(self.path).path)
        if app:
            return self.order() if app.group(1) else self.say(200, {"status": "ok"})
        lab = self.server.lab
        edge = EDGE.match(urlsplit(self.path).path)
        if edge:
            account, key = edge.groups()
            with lab.lock:
                value = key_values.seen_at_edge(lab.account(account), key)
            return self.say(200, {key: value}, {"x-lab-edge": str(value)})
        by_path = PATH.match(urlsplit(self.path).path)
        by_host = HOST.match(self.headers.get("Host", "").lower())
        if by_path:
            account, service = by_path.groups()
        elif by_host and urlsplit(self.path).path.rstrip("/") in ("", "/health"):
            service, account = by_host.groups()
        else:
            return self.say(404, {"status": "unknown", "because": ["no such host or path"]})
        with lab.lock:
            reasons = because(lab, account, service)
        if reasons:
            return self.say(503, {"status": "down", "because": reasons})
        return self.say(200, {"status": "ok"})

    do_HEAD = do_GET

    def order(self):
        who = self.headers.get("Authorization")
        status = 200 if who == MAY else 403 if who else 401
        self.say(status, {"id": "canary"} if status == 200 else {"error": "forbidden"})

    def say(self, status, document, headers=None):
        self.reply(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(document).encode())


def because(lab, name, service):
    """Every reason why a service of an account is not well."""
    account = lab.accounts.get(name)
    if account is None or not account.seed:
        return [f"account {name} is not seeded"]
    account.tick()
    if service == "www":
        return site(lab, account)
    return service_reasons(lab, account, service, ())


def service_reasons(lab, account, service, above):
    seed = account.seed
    if service not in seed["graph"]:
        return [f"no service {service}"]
    if service in above:
        return [f"service {service} depends on itself"]
    region = seed["recovery"]
    if lab.regions.mode(account.name, "ecs", region):
        return [f"region {region} is down"]
    reasons = []
    found = ecs.counts(account.name, region, seed["cluster"], service)
    if found is None:
        reasons.append(f"service {service} is not in {region}")
    else:
        desired, running = found
        if desired == 0 or desired != running:
            reasons.append(f"service {service} runs {running} of {desired}")
    for need in seed["graph"][service]:
        kind, target = need.split(":", 1)
        if kind == "service":
            reasons += service_reasons(lab, account, target, (*above, service))
        elif kind == "db":
            reasons += database_reasons(account, region, target)
        elif kind == "table":
            reasons += table_reasons(account, region, target)
    return list(dict.fromkeys(reasons))


def database_reasons(account, region, name):
    database = bridge.backend("rds", account.name, region).databases.get(name)
    if database is None:
        return [f"database {name} is not in {region}"]
    if database.status not in USABLE:
        return [f"database {name} is {database.status}"]
    return []


def table_reasons(account, region, name):
    table = bridge.backend("dynamodb", account.name, region).tables.get(name)
    if table is None:
        return [f"table {name} is not in {region}"]
    if getattr(table, "lab_status", "ACTIVE") != "ACTIVE":
        return [f"table {name} is {table.lab_status}"]
    return []


def site(lab, account):
    """The edge, the name, and the web service."""
    seed = account.seed
    reasons = cloudfront.site_reasons(
        account, seed["distribution"], seed["origin"], seed["recovery_origin"]
    )
    wanted = normal_name(seed["recovery_target"])
    name = normal_name(seed["name"])
    zones = list(account.zones.values())
    zone = zone_for(zones, name)
    health = partial(healthy, lab, account)
    found = lookup(zone, name, "A", health, zones) if zone else []
    found = found or (lookup(zone, name, "CNAME", health, zones) if zone else [])
    values = [value for _, _, _, group in found for value in group]
    if wanted not in values and wanted.rstrip(".") not in values:
        reasons.append(f"{seed['name']} answers {values or 'nothing'}, not {seed['recovery_target']}")
    return list(dict.fromkeys(reasons + service_reasons(lab, account, "web", ())))
