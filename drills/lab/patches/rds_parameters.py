"""RDS parameter groups that take effect, and instances that restart.

moto keeps any parameter of any group, tells every instance in sync and
restarts nothing. AWS applies a dynamic parameter after a while, to every
instance of the group; a default group cannot be changed. A restart while a
change is still being applied is remembered as `restarted_early`.
"""

from moto.rds.models import DBInstance

from . import operation, refuse
from .rds import find, key, settle, short, store

#: what a value has to be, for the parameters that the lab knows
VALUES = {"read_only": ("0", "1", "{TrueIfReplica}")}
#: what a family sets by itself
DEFAULTS = {"mysql": {"read_only": "{TrueIfReplica}"}, "mariadb": {"read_only": "{TrueIfReplica}"}}


def status_list(database):
    groups = database.db_parameter_groups()
    for group in groups:
        group.ParameterApplyStatus = getattr(database, "lab_applied", "in-sync")
    return groups


DBInstance.db_parameter_group_status_list = property(status_list)


def group_of(call):
    name = call.params["DBParameterGroupName"]
    group = store(call).db_parameter_groups.get(name.lower())
    if group is None:
        refuse("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
    return group


def to_change(call):
    group = group_of(call)
    if group.name.startswith("default."):
        refuse("InvalidDBParameterGroupState", f"Default DBParameterGroup {group.name} cannot be modified")
    return group


def known(group, name):
    engine = group.family.rstrip("0123456789.")
    if name not in DEFAULTS.get(engine, {}):
        refuse("InvalidParameterValue", f"Could not find parameter with name: {name}")


def apply(call, group):
    """Each instance of the group takes it over in its own time."""
    for name, database in store(call).databases.items():
        if database.db_parameter_group_name != group.name:
            continue
        database.lab_applied = "applying"

        def finish(database=database):
            database.lab_applied = "in-sync"

        call.state.begin(key(call, "parameters", name), finish)


@operation("rds", "ModifyDBParameterGroup")
def modify(call):
    group = to_change(call)
    wanted = dict(getattr(group, "lab_set", {}))
    for parameter in call.params["Parameters"]:
        name, value = parameter.get("ParameterName"), parameter.get("ParameterValue")
        known(group, name)
        if parameter.get("ApplyMethod") not in ("immediate", "pending-reboot"):
            refuse("InvalidParameterValue", "Invalid or missing apply method")
        if value not in VALUES[name]:
            refuse("InvalidParameterValue", f"Invalid parameter value: {value} for: {name}")
        wanted[name] = value
    group.lab_set = wanted
    apply(call, group)
    return {"DBParameterGroupName": group.name}


@operation("rds", "ResetDBParameterGroup")
def reset(call):
    group = to_change(call)
    left = dict(getattr(group, "lab_set", {}))
    if call.params.get("ResetAllParameters"):
        left = {}
    for parameter in call.params.get("Parameters") or []:
        known(group, parameter.get("ParameterName"))
        left.pop(parameter["ParameterName"], None)
    group.lab_set = left
    apply(call, group)
    return {"DBParameterGroupName": group.name}


@operation("rds", "DescribeDBParameters")
def describe(call):
    group = group_of(call)
    changed = getattr(group, "lab_set", {})
    source = call.params.get("Source")
    found = [
        {
            "ParameterName": name, "ParameterValue": changed.get(name, value),
            "Source": "user" if name in changed else "engine-default", "ApplyType": "dynamic",
            "DataType": "string", "AllowedValues": ",".join(VALUES[name]), "IsModifiable": True,
            "ApplyMethod": "immediate",
        }
        for name, value in DEFAULTS.get(group.family.rstrip("0123456789."), {}).items()
    ]  # fmt: skip
    return {"Parameters": [each for each in found if source in (None, each["Source"])]}


@operation("rds", "RebootDBInstance")
def reboot(call):
    name = short(call.params["DBInstanceIdentifier"])
    database = find(call, name)
    if database.status != "available":
        refuse("InvalidDBInstanceState", f"Instance {name} is not in available state: {database.status}")
    if any(key(call, kind, name) in call.state.under_way for kind in ("groups", "rules", "parameters")):
        # Whoever connects again still does so under the old rules.
        database.lab_restarted_early = True
    settle(call, database, name, ("rebooting",))
    return {"DBInstance": database}
