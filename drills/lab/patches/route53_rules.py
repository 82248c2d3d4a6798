"""The rules a change batch must keep, and the order records come in."""

import ipaddress
import re

from ..errors import LabError

SINGLE = ("CNAME",)
POLICIES = ("Weight", "Failover", "Region", "GeoLocation", "MultiValueAnswer", "CidrRoutingConfig", "GeoProximityLocation")  # fmt: skip


def normal_name(name):
    r"""Lower case, with the final dot, odd characters as \ooo as Route 53 writes them."""
    text = name.lower()
    if not text.endswith("."):
        text += "."
    out, at = [], 0
    while at < len(text):
        escaped = re.match(r"\\([0-3][0-7]{2})", text[at:])
        if escaped:
            letter, at = chr(int(escaped.group(1), 8)), at + 4
        else:
            letter, at = text[at], at + 1
        if re.match(r"[a-z0-9._-]", letter) and not (escaped and letter == "."):
            out.append(letter)
        else:
            out.extend(f"\\{byte:03o}" for byte in letter.encode("utf-8"))
    return "".join(out)


def identity(record):
    return (record["Name"], record["Type"], record.get("SetIdentifier"))


def order_key(record):
    labels = record["Name"].rstrip(".").split(".")
    return (labels[::-1], record["Type"], record.get("SetIdentifier") or "")


def in_order(records):
    return sorted(records, key=order_key)


def apply(records, change):
    """One change, without a question."""
    record = change["ResourceRecordSet"]
    if change["Action"] == "DELETE":
        records.pop(identity(record), None)
    else:
        records[identity(record)] = record


def comparable(record):
    """A record so that equal ones are equal: values without their order."""
    plain = {k: v for k, v in record.items() if v is not None}
    plain["ResourceRecords"] = sorted(r["Value"] for r in record.get("ResourceRecords") or [])
    alias = record.get("AliasTarget")
    if alias:
        plain["AliasTarget"] = (alias["HostedZoneId"], normal_name(alias["DNSName"]), bool(alias["EvaluateTargetHealth"]))  # fmt: skip
    return plain


def named(record):
    text = f"name='{record['Name']}', type='{record['Type']}'"
    if record.get("SetIdentifier"):
        text += f", set-identifier='{record['SetIdentifier']}'"
    return f"[{text}]"


def check_form(change):
    """What is wrong with a change taken alone; raises InvalidInput."""
    record = change["ResourceRecordSet"]
    where = f"Change with [Action={change['Action']}, Name={record['Name']}, Type={record['Type']}, SetIdentifier={record.get('SetIdentifier')}]"
    plain = record.get("ResourceRecords") and record.get("TTL") is not None
    alias = record.get("AliasTarget")
    if bool(plain) == bool(alias) or (alias and record.get("TTL") is not None):
        raise LabError(
            "InvalidInput",
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and "
            "ResourceRecords], or TrafficPolicyInstanceId], but found "
            f"{'more than one' if alias else 'none'} in {where}",
        )
    policies = [p for p in POLICIES if record.get(p) is not None]
    if policies and not record.get("SetIdentifier"):
        raise LabError("InvalidInput", f"Invalid request: Missing field 'SetIdentifier' in {where}")
    if record.get("SetIdentifier") and len(policies) != 1:
        raise LabError(
            "InvalidInput",
            "Invalid request: Expected exactly one of [Weight, Region, Failover, GeoLocation, "
            f"MultiValueAnswer], but found {'none' if not policies else 'more than one'} in {where}",
        )


def value_problems(record):
    """What is wrong with the values of one record."""
    values = [r["Value"] for r in record.get("ResourceRecords") or []]
    found = []
    for value in values:
        if values.count(value) > 1:
            found.append(f"Duplicate Resource Record: '{value}'")
            break
    classes = {"A": ipaddress.IPv4Address, "AAAA": ipaddress.IPv6Address}
    for value in values:
        kind = record["Type"]
        try:
            if kind in classes:
                classes[kind](value)
        except ValueError:
            number = "4" if kind == "A" else "6"
            found.append(
                f"Invalid Resource Record: 'FATAL problem: {kind}RRDATAIllegalIPv{number}Address "
                f"(Value is not a valid IPv{number} address) encountered with '{value}''"
            )
        if kind == "TXT" and not re.fullmatch(r'(?s)("(?:[^"\\]|\\.)*"\s*)+', value):
            found.append(
                "Invalid Resource Record: 'FATAL problem: InvalidCharacterString (Value should "
                f"be enclosed in quotation marks) encountered with '{value}''"
            )
    if record["Type"] in SINGLE and len(values) > 1:
        found.append("Invalid Resource Record: 'FATAL problem: OneRRInRRSet expected'")
    return found


def check_batch(zone, changes):
    """The records after the batch, or InvalidChangeBatch with all that is wrong."""
    after, problems, touched = dict(zone.records), [], {}
    if len(changes) > 1000:
        problems.append("Number of records limit of 1000 exceeded.")
    for change in changes:
        record = change["ResourceRecordSet"]
        record["Name"] = normal_name(record["Name"])
        check_form(change)
        problems += place_problems(zone, record)
        if change["Action"] != "DELETE":
            problems += value_problems(record)
        seen = touched.setdefault(identity(record), [])
        seen.append(change["Action"])
        if len(seen) > 1 and seen != ["DELETE", "CREATE"]:
            problems.append(
                "The request contains an invalid set of changes for a resource record set "
                f"'{record['Type']} {record['Name']}'"
            )
            continue
        problems += state_problems(zone, after, change)
        apply(after, change)
    problems += whole_problems(zone, after)
    if problems:
        raise LabError("InvalidChangeBatch", f"[{', '.join(dict.fromkeys(problems))}]")
    return after


def place_problems(zone, record):
    name = record["Name"]
    if name != zone.name and not name.endswith("." + zone.name):
        return [f"RRSet with DNS name {name} is not permitted in zone {zone.name}"]
    if record["Type"] == "CNAME" and name == zone.name:
        return [f"RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {zone.name}"]
    return []


def state_problems(zone, after, change):
    """CREATE must be new; DELETE must match to the last value."""
    record = change["ResourceRecordSet"]
    current = after.get(identity(record))
    if change["Action"] == "CREATE" and current is not None:
        return [f"Tried to create resource record set {named(record)} but it already exists"]
    if change["Action"] == "DELETE":
        if current is None:
            return [f"Tried to delete resource record set {named(record)} but it was not found"]
        if comparable(current) != comparable(record):
            return [
                f"Tried to delete resource record set {named(record)} but the values provided "
                "do not match the current values"
            ]
    return []


def whole_problems(zone, after):
    """What no zone may hold: a CNAME with company, mixed policies, no SOA or NS."""
    found, names = [], {}
    for record in after.values():
        names.setdefault(record["Name"], []).append(record)
    for name, records in names.items():
        kinds = {record["Type"] for record in records}
        if "CNAME" in kinds and len(kinds) > 1:
            found.append(
                f"RRSet of type CNAME with DNS name {name} is not permitted as it conflicts "
                f"with other records with the same DNS name in zone {zone.name}"
            )
        for kind in kinds:
            same = [r for r in records if r["Type"] == kind]
            policies = {next((p for p in POLICIES if r.get(p) is not None), "simple") for r in same}
            if len(policies) > 1:
                found.append(
                    f"RRSet with DNS name {name}, type {kind} cannot be created as it mixes "
                    f"routing policies: {', '.join(sorted(policies))}"
                )
    kinds_at_apex = {record["Type"] for record in names.get(zone.name, [])}
    if "SOA" not in kinds_at_apex:
        found.append("A HostedZone must contain exactly one SOA record.")
    if "NS" not in kinds_at_apex:
        found.append("A HostedZone must contain at least one NS record for the zone itself.")
    return found
