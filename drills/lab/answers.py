r"""What the zones say, by the rules of DNS: wildcards, aliases, policies.

Kept apart from the packets so that TestDNSAnswer, the health endpoint and
the name server cannot disagree. Only served records count: a change that is
still PENDING is not seen here.
"""

from .patches.route53_rules import normal_name

DEPTH_MAX = 8
LOOPBACK = "127.0.0.1"


def zone_for(zones, name):
    """The zone with the longest name that holds this one."""
    fitting = [z for z in zones if name == z.name or name.endswith("." + z.name)]
    return max(fitting, key=lambda z: len(z.name), default=None)


def at(zone, name):
    """The records of a name, or of the wildcard that covers it."""
    exact = [r for r in zone.served.values() if r["Name"] == name]
    if exact:
        return exact
    labels = name[: -len(zone.name)].rstrip(".").split(".") if name != zone.name else []
    for depth in range(1, len(labels) + 1):
        parent = ".".join([*labels[depth:], zone.name])
        if any(r["Name"] == parent or r["Name"].endswith("." + parent) for r in zone.served.values()):
            star = [r for r in zone.served.values() if r["Name"] == f"\\052.{parent}"]
            return star
    return []


def exists(zone, name):
    """Whether the name is there at all: NODATA and not NXDOMAIN."""
    return name == zone.name or bool(at(zone, name)) or any(
        r["Name"].endswith("." + name) for r in zone.served.values()
    )


def healthy(record, health):
    """A record without a health check is healthy, else what `health` says of its check."""
    identifier = record.get("HealthCheckId")
    return not identifier or health is None or health(identifier)


def choose(records, health=None):
    """The one record a policy lets answer; deterministic on purpose."""
    well = [r for r in records if healthy(r, health)] or records
    if well[0].get("Failover"):
        first = [r for r in well if r["Failover"] == "PRIMARY"]
        return (first or well)[0]
    if well[0].get("Weight") is not None:
        return max(well, key=lambda r: (r["Weight"], r.get("SetIdentifier") or ""))
    return well[0]


def lookup(zone, name, kind, health=None, zones=None, depth=0):
    """[(name, type, ttl, [values])] in the order they are answered."""
    zones = zones or [zone]
    records = at(zone, name)
    same = [r for r in records if r["Type"] == kind]
    if not same:
        names = [r for r in records if r["Type"] == "CNAME"]
        if not names or depth > DEPTH_MAX:
            return []
        record = choose(names, health)
        if record.get("AliasTarget"):
            return alias(zone, name, "CNAME", record, health, zones, depth)
        target = normal_name(record["ResourceRecords"][0]["Value"])
        found = [(name, "CNAME", record["TTL"], [target])]
        if kind != "CNAME":
            other = zone_for(zones, target)
            if other is not None:
                found += lookup(other, target, kind, health, zones, depth + 1)
        return found
    record = choose(same, health)
    if record.get("AliasTarget"):
        return alias(zone, name, kind, record, health, zones, depth)
    if record.get("MultiValueAnswer"):
        values = [v["Value"] for r in same if healthy(r, health) for v in r["ResourceRecords"]]
        return [(name, kind, record["TTL"], values[:8])]
    return [(name, kind, record["TTL"], [v["Value"] for v in record["ResourceRecords"]])]


def alias(zone, name, kind, record, health, zones, depth):
    """An alias answers with its target's values under its own name."""
    target = normal_name(record["AliasTarget"]["DNSName"])
    other = zone_for(zones, target)
    if other is None:
        return [(name, kind, 60, [LOOPBACK])] if kind == "A" else []
    if depth > DEPTH_MAX:
        return []
    found = lookup(other, target, kind, health, zones, depth + 1)
    ends = [(ttl, values) for _, rtype, ttl, values in found if rtype == kind]
    if not ends and kind == "A" and not found:
        return [(name, kind, 60, [LOOPBACK])]
    return [(name, kind, ttl, values) for ttl, values in ends]
