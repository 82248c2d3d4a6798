"""What the seed moves users by: an ARC cluster, and objects that health checks ask for; names that follow each."""

from . import bridge, seed_objects
from .patches import routing_controls
from .patches.route53_health import HealthCheck
from .patches.route53_rules import identity, normal_name
from .routing import REGIONS, Control, Rule


def cluster(account, places, endpoint):
    """Its controls and endpoints; the name `arc` goes where the controls say."""
    panel = f"arn:aws:route53-recovery-control::{account.name}:controlpanel/0123456789abcdef0123456789abcdef"
    found = {}
    for which, state, address in (("primary", "On", "192.0.2.40"), ("recovery", "Off", "198.51.100.40")):
        region = places[which]
        arn = f"{panel}/routingcontrol/{which}0123456789"
        account.routing.controls[arn] = Control(arn, f"shop-{region}", panel, state)
        check = HealthCheck(f"arc-{which}", {"Type": "RECOVERY_CONTROL", "RoutingControlArn": arn})
        account.health_checks[check.id] = check
        failover(account, f"arc.{places['domain']}", which, address, check)
        found[f"control_{which}"] = arn
    rule = f"{panel}/safetyrule/one0123456789"
    account.routing.rules.append(Rule(rule, "one-is-on", list(account.routing.controls), 1))
    for number, region in enumerate(REGIONS, 1):
        found[f"cluster_region_{number}"] = region
        found[f"cluster_endpoint_{number}"] = f"{endpoint}{routing_controls.path(region)}"
    return {**found, "safety_rule": rule, "record_arc": f"arc.{places['domain']}"}


def flags(account, places):
    """A bucket of the standby: `flip` goes there when an object is put, `hold` when one is deleted."""
    here, region = bridge.backend("s3", account.name, "aws"), places["recovery"]
    bucket = seed_objects.make(here, f"{account.name}-flip-{region}", region, False)
    here.put_object(bucket.name, "serving/shop", b"serving\n", disable_notification=True)
    host = f"{bucket.name}.s3.{region}.amazonaws.com"
    for label, path, inverted in (("flip", "/failover/shop", True), ("hold", "/serving/shop", False)):
        config = {"Type": "HTTPS", "FullyQualifiedDomainName": host, "ResourcePath": path, "Inverted": inverted}
        check = HealthCheck(label, config)
        check.sees = not inverted
        account.health_checks[check.id] = check
        failover(account, f"{label}.{places['domain']}", "primary", "192.0.2.50", check)
        failover(account, f"{label}.{places['domain']}", "recovery", "198.51.100.50")
    names = {f"record_{label}": f"{label}.{places['domain']}" for label in ("flip", "hold")}
    return {"bucket_flip": bucket.name, **names}


def failover(account, name, which, address, check=None):
    """One half of a failover pair."""
    record = {
        "Name": normal_name(name), "Type": "A", "TTL": 30, "SetIdentifier": which,
        "Failover": "PRIMARY" if which == "primary" else "SECONDARY", "ResourceRecords": [{"Value": address}],
    }  # fmt: skip
    if check is not None:
        record["HealthCheckId"] = check.id
    for zone in account.zones.values():
        zone.records[identity(record)] = zone.served[identity(record)] = record
