"""The seed's ARC cluster: a control for each region, a rule that one of them is On, and names that follow."""

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
