"""CloudWatch alarms: those that were just made know nothing yet, composite ones follow others.

moto begins with OK, keeps composite alarms at that, and tells all types
always. Alarms of metrics turn by SetAlarmState alone: nothing is evaluated.
"""

import re
from inspect import signature

from moto.cloudwatch.models import Alarm

from .. import bridge
from . import operation, refuse

STATE = re.compile(r"\b(ALARM|OK|INSUFFICIENT_DATA)\(\s*[\"']?([^\"')]+?)[\"']?\s*\)")
#: what is left of a rule when the states of other alarms are put in
LOGIC = re.compile(r"(True|False|and|or|not|[()\s])*")
PAGE = 50


def store(call):
    return bridge.backend("cloudwatch", call.account, call.region)


@operation("cloudwatch", "PutMetricAlarm")
def put(call):
    known = call.params["AlarmName"] in store(call).alarms
    answer = bridge.dispatch(call)
    if answer[0] == 200 and not known:
        began(store(call).alarms[call.params["AlarmName"]])
    return answer


@operation("cloudwatch", "PutCompositeAlarm")
def put_composite(call):
    params = call.params
    followed(call, params["AlarmRule"])
    known = store(call).alarms.get(params["AlarmName"])
    plain = dict.fromkeys(list(signature(Alarm).parameters))
    alarm = Alarm(
        **plain
        | {
            "account_id": call.account, "region_name": call.region, "name": params["AlarmName"],
            "rule": params["AlarmRule"], "description": params.get("AlarmDescription"), "dimensions": [],
            "actions_enabled": params.get("ActionsEnabled"), "alarm_actions": params.get("AlarmActions") or [],
        }
    )  # fmt: skip
    began(alarm)
    if known is not None:
        alarm.update_state(known.state_reason, None, known.state_value)
    store(call).alarms[alarm.name] = alarm
    return 200, {}, b"{}"


def began(alarm):
    alarm.update_state("Unchecked: Initial alarm creation", None, "INSUFFICIENT_DATA")


def followed(call, rule):
    """Whether a rule holds, by the states of the alarms that it names."""

    def state(match):
        alarm = store(call).alarms.get(match.group(2).split(":alarm:")[-1])
        if alarm is None:
            refuse("ValidationError", f"AlarmRule names an alarm that is not there: {match.group(2)}")
        return str(state_of(call, alarm) == match.group(1))

    text = STATE.sub(state, rule)
    for word, instead in (("TRUE", "True"), ("FALSE", "False"), ("AND", "and"), ("OR", "or"), ("NOT", "not")):
        text = re.sub(rf"\b{word}\b", instead, text)
    if not LOGIC.fullmatch(text):
        refuse("ValidationError", f"AlarmRule cannot be read: {rule}")
    return bool(eval(text, {"__builtins__": {}}))  # noqa: S307 (only words of logic are left)


def state_of(call, alarm):
    if alarm.rule is None:
        return alarm.state_value
    return "ALARM" if followed(call, alarm.rule) else "OK"


@operation("cloudwatch", "DescribeAlarms")
def describe(call):
    """Without AlarmTypes only alarms of metrics are told."""
    types = call.params.get("AlarmTypes") or ["MetricAlarm"]
    names, prefix = call.params.get("AlarmNames"), call.params.get("AlarmNamePrefix") or ""
    found = []
    for name, alarm in sorted(store(call).alarms.items()):
        kind = "MetricAlarm" if alarm.rule is None else "CompositeAlarm"
        if kind in types and (name in names if names else name.startswith(prefix)):
            state = state_of(call, alarm)
            if alarm.rule is not None and state != alarm.state_value:
                alarm.update_state("an alarm that it follows has turned", None, state)
            found.append(alarm)
    start, most = int(call.params.get("NextToken") or 0), call.params.get("MaxRecords") or PAGE
    page = found[start : start + most]
    result = {
        "MetricAlarms": [a for a in page if a.rule is None], "CompositeAlarms": [a for a in page if a.rule is not None],
    }  # fmt: skip
    if start + most < len(found):
        result["NextToken"] = str(start + most)
    return result
