"""Route 53, whole: zones, atomic batches, changes that take time.

moto applies a batch change by change, says INSYNC at once, knows every
change id and lets a DELETE pass with the wrong values. The lab keeps its own
zones: what the API shows changes at once, what DNS answers at INSYNC.
"""

import copy
import uuid
from functools import partial

from . import operation, refuse
from .route53_rules import (
    apply,
    check_batch,
    identity,
    in_order,
    normal_name,
    order_key,
)


class Zone:
    """A hosted zone: the records as written and the records as served."""

    def __init__(self, identifier, name, caller, comment=""):
        self.id = identifier
        self.name = name
        self.caller = caller
        self.comment = comment
        self.servers = [f"ns-{n}.lab.test" for n in (1, 2, 3, 4)]
        self.records = {}
        for record in (
            {
                "Name": name, "Type": "NS", "TTL": 172800,
                "ResourceRecords": [{"Value": f"{server}."} for server in self.servers],
            },
            {
                "Name": name, "Type": "SOA", "TTL": 900,
                "ResourceRecords": [
                    {"Value": f"{self.servers[0]}. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"}
                ],
            },
        ):  # fmt: skip
            self.records[identity(record)] = record
        self.served = copy.deepcopy(self.records)

    def summary(self):
        return {
            "Id": f"/hostedzone/{self.id}", "Name": self.name, "CallerReference": self.caller,
            "Config": {"Comment": self.comment, "PrivateZone": False},
            "ResourceRecordSetCount": len(self.records),
        }  # fmt: skip

    def delegation(self):
        return {"NameServers": self.servers}


def short(identifier):
    return identifier.rsplit("/", 1)[-1]


def zone_of(call, field="HostedZoneId"):
    identifier = short(call.params[field])
    zone = call.state.zones.get(identifier)
    if zone is None:
        refuse("NoSuchHostedZone", f"No hosted zone found with ID: {identifier}", 404)
    return zone


def new_change(call, finish, comment=None):
    """A change of its own id, PENDING until it has been looked at often enough."""
    from datetime import datetime, timezone

    identifier = "C" + uuid.uuid4().hex[:20].upper()
    change = {
        "Id": f"/change/{identifier}", "Status": "PENDING",
        "SubmittedAt": datetime.now(timezone.utc).replace(microsecond=0),
    }  # fmt: skip
    if comment:
        change["Comment"] = comment
    call.state.changes[identifier] = change
    first = dict(change)

    def done():
        change["Status"] = "INSYNC"
        finish()

    call.state.begin(("route53", identifier), done)
    return first


@operation("route53", "CreateHostedZone")
def create_zone(call):
    name, caller = normal_name(call.params["Name"]), call.params["CallerReference"]
    if any(zone.caller == caller for zone in call.state.zones.values()):
        words = f"A hosted zone has already been created with the specified caller reference: {caller}."
        refuse("HostedZoneAlreadyExists", words, 409)
    identifier = "Z" + uuid.uuid4().hex[:20].upper()
    comment = (call.params.get("HostedZoneConfig") or {}).get("Comment", "")
    zone = call.state.zones[identifier] = Zone(identifier, name, caller, comment)
    return {
        "HostedZone": zone.summary(), "ChangeInfo": new_change(call, lambda: None),
        "DelegationSet": zone.delegation(),
        "Location": f"https://route53.amazonaws.com/2013-04-01/hostedzone/{identifier}",
    }  # fmt: skip


@operation("route53", "GetHostedZone")
def get_zone(call):
    zone = zone_of(call, "Id")
    return {"HostedZone": zone.summary(), "DelegationSet": zone.delegation()}


@operation("route53", "DeleteHostedZone")
def delete_zone(call):
    zone = zone_of(call, "Id")
    if len(zone.records) > 2:
        words = "The specified hosted zone contains non-required resource record sets and so cannot be deleted."
        refuse("HostedZoneNotEmpty", words)
    del call.state.zones[zone.id]
    return {"ChangeInfo": new_change(call, lambda: None)}


@operation("route53", "ListHostedZones", "ListHostedZonesByName")
def list_zones(call):
    zones = sorted(call.state.zones.values(), key=lambda z: order_key({"Name": z.name, "Type": ""}))
    result = {"IsTruncated": False, "MaxItems": "100"}
    if call.name == "ListHostedZonesByName":
        start = call.params.get("DNSName")
        if start:
            low = order_key({"Name": normal_name(start), "Type": ""})
            zones = [z for z in zones if order_key({"Name": z.name, "Type": ""}) >= low]
            result["DNSName"] = normal_name(start)
    else:
        result["Marker"] = call.params.get("Marker", "")
    most = int(call.params.get("MaxItems") or 100)
    result["MaxItems"] = str(most)
    result["IsTruncated"] = len(zones) > most
    if result["IsTruncated"]:
        if call.name == "ListHostedZonesByName":
            result["NextDNSName"], result["NextHostedZoneId"] = zones[most].name, zones[most].id
        else:
            result["NextMarker"] = zones[most].id
    return {**result, "HostedZones": [zone.summary() for zone in zones[:most]]}


@operation("route53", "ChangeResourceRecordSets")
def change_records(call):
    """All of the batch or nothing of it."""
    zone = zone_of(call)
    batch = call.params["ChangeBatch"]
    changes = copy.deepcopy(batch["Changes"])
    zone.records = check_batch(zone, changes)

    def serve():
        for change in changes:
            apply(zone.served, change)

    return {"ChangeInfo": new_change(call, serve, batch.get("Comment"))}


@operation("route53", "GetChange")
def get_change(call):
    identifier = short(call.params["Id"])
    if identifier not in call.state.changes:
        words = f"Could not find resource with ID: {identifier}"
        refuse("NoSuchChange", words, 404)
    call.state.look(("route53", identifier))
    return {"ChangeInfo": call.state.changes[identifier]}


@operation("route53", "ListResourceRecordSets")
def list_records(call):
    params = call.params
    records = in_order(zone_of(call).records.values())
    start = params.get("StartRecordName")
    if start:
        low = order_key(
            {
                "Name": normal_name(start), "Type": params.get("StartRecordType") or "",
                "SetIdentifier": params.get("StartRecordIdentifier"),
            }
        )  # fmt: skip
        records = [record for record in records if order_key(record) >= low]
    elif params.get("StartRecordType"):
        refuse("InvalidInput", "The record type is given without a record name")
    most = min(int(params.get("MaxItems") or 300), 300)
    result = {
        "ResourceRecordSets": records[:most], "MaxItems": str(most),
        "IsTruncated": len(records) > most,
    }  # fmt: skip
    if len(records) > most:
        following = records[most]
        result["NextRecordName"], result["NextRecordType"] = following["Name"], following["Type"]
        if following.get("SetIdentifier"):
            result["NextRecordIdentifier"] = following["SetIdentifier"]
    return result


@operation("route53", "TestDNSAnswer")
def test_answer(call):
    from ..answers import lookup
    from .route53_health import healthy

    zone = zone_of(call)
    name, kind = normal_name(call.params["RecordName"]), call.params["RecordType"]
    found = [values for _, rtype, _, values in lookup(zone, name, kind, partial(healthy, call.lab, call.state)) if rtype == kind]
    values = [value for group in found for value in group]
    return {
        "Nameserver": zone.servers[0], "RecordName": name, "RecordType": kind,
        "RecordData": values, "ResponseCode": "NOERROR" if values else "NXDOMAIN", "Protocol": "UDP",
    }  # fmt: skip


def state(account):
    """Zones and records as plain data, keyed by the zone's name."""
    found = {}
    for zone in account.zones.values():
        found[zone.name] = {
            "id": zone.id,
            "records": in_order(zone.records.values()),
            "served": "as written" if zone.served == zone.records else in_order(zone.served.values()),
        }
    return found
