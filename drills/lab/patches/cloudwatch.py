"""CloudWatch: samples of metrics, aligned as CloudWatch gives them.

moto begins each period where the question begins, and forgets the namespace
once there are dimensions. CloudWatch rounds to whole periods, says of each
when it began, and gives nothing where nothing was measured.
"""

from datetime import datetime, timedelta, timezone

from .. import bridge
from . import operation, refuse

STATS = {
    "Maximum": max, "Minimum": min, "Sum": sum, "SampleCount": len,
    "Average": lambda values: sum(values) / len(values),
}  # fmt: skip
ALIGNED = datetime(1970, 1, 1, tzinfo=timezone.utc)


def measured(account, region, namespace, name, dimensions, values, now=None):
    """Plants one sample a minute, the newest in the minute before this one."""
    here = bridge.backend("cloudwatch", account, region)
    end = floor(now or datetime.now(timezone.utc), 60)
    told = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    for back, value in enumerate(reversed(values), 1):
        sample = {
            "MetricName": name, "Dimensions": told, "Value": value, "Timestamp": end - timedelta(minutes=back),
        }  # fmt: skip
        here.put_metric_data(namespace, [sample])


def floor(moment, period):
    """The beginning of the period that a moment lies in."""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return ALIGNED + timedelta(seconds=(moment - ALIGNED).total_seconds() // period * period)


def samples(call, stat, start, end):
    """The values of a metric by the period that each was measured in."""
    metric, period = stat["Metric"], stat["Period"]
    wanted = {(each["Name"], each["Value"]) for each in metric.get("Dimensions") or []}
    found = {}
    for datum in bridge.backend("cloudwatch", call.account, call.region).metric_data:
        same = (datum.namespace, datum.name) == (metric.get("Namespace"), metric.get("MetricName"))
        if not same or {(each.name, each.value) for each in datum.dimensions} != wanted:
            continue
        at = floor(datum.timestamp, period)
        if floor(start, period) <= at < end:
            found.setdefault(at, []).append(datum.value)
    return found


def check(query):
    stat = query.get("MetricStat")
    if stat is None:
        refuse("NotImplemented", "the lab answers GetMetricData for metrics, not for expressions", 501)
    if stat["Period"] % 60 and stat["Period"] not in (1, 5, 10, 20, 30):
        refuse("ValidationError", "Period must be 1, 5, 10, 20, 30, 60 or a multiple of 60")
    if stat["Stat"] not in STATS:
        refuse("ValidationError", f"The value {stat['Stat']} for parameter Stat is not supported.")
    return stat


@operation("cloudwatch", "GetMetricData")
def metric_data(call):
    params = call.params
    start, end = (
        moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        for moment in (params["StartTime"], params["EndTime"])
    )
    if start >= end:
        refuse("ValidationError", "The parameter EndTime must be greater than StartTime.")
    results = []
    for query in params["MetricDataQueries"]:
        stat = check(query)
        found = samples(call, stat, start, end)
        newest_first = params.get("ScanBy") != "TimestampAscending"
        times = sorted(found, reverse=newest_first)
        results.append(
            {
                "Id": query["Id"], "Label": query.get("Label") or stat["Metric"].get("MetricName"),
                "Timestamps": times, "Values": [float(STATS[stat["Stat"]](found[at])) for at in times],
                "StatusCode": "Complete",
            }
        )  # fmt: skip
    return {"MetricDataResults": results}


@operation("cloudwatch", "ListMetrics")
def listed(call):
    """What was measured, by pages of two: AWS gives 500, and who reads one page alone misses the rest."""
    params = call.params
    wanted = {(each["Name"], each.get("Value")) for each in params.get("Dimensions") or []}
    found = []
    for datum in bridge.backend("cloudwatch", call.account, call.region).metric_data:
        told = [{"Name": each.name, "Value": each.value} for each in datum.dimensions]
        metric = {"Namespace": datum.namespace, "MetricName": datum.name, "Dimensions": told}
        same = all(params.get(key) in (None, metric[key]) for key in ("Namespace", "MetricName"))
        has = {(each["Name"], value) for each in told for value in (each["Value"], None)}
        if same and wanted <= has and metric not in found:
            found.append(metric)
    first = int(params.get("NextToken") or 0)
    more = {"NextToken": str(first + 2)} if first + 2 < len(found) else {}
    return {"Metrics": found[first : first + 2]} | more
