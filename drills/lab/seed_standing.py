"""What a standby that serves stands on, where it is asked for: stores that are replicated, quiet alarms, an
application that knows who may."""

from moto.core.utils import utcnow

from . import bridge
from .patches.dynamodb_global import Group, plant

TABLE, ALARMS = "baskets", ("app-5xx", "app-latency")
#: the attributes of the table's key, and the item into which the primary wrote the time
KEY = ("customer", "item")


def stores(account, primary, recovery, params):
    """A global table with a canary, the buckets of the media, alarms that are OK."""
    home = bridge.backend("dynamodb", account.name, primary)
    table = home.create_table(
        TABLE, schema=[{"AttributeName": n, "KeyType": t} for n, t in zip(KEY, ("HASH", "RANGE"))],
        attr=[{"AttributeName": name, "AttributeType": "S"} for name in KEY], throughput=None,
        billing_mode="PAY_PER_REQUEST", global_indexes=[], indexes=[],
        streams={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}, sse_specification=None,
        deletion_protection_enabled=False, warm_throughput=None, tags=[],
    )  # fmt: skip
    now = utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")
    home.put_item(TABLE, {"customer": {"S": "canary"}, "item": {"S": primary}, "written_at": {"S": now}})
    table.lab_group = Group([primary, recovery], "EVENTUAL")
    plant(bridge.backend("dynamodb", account.name, recovery), table).lab_group = table.lab_group
    for name in ALARMS:
        quiet(account, recovery, name)
    app = f"{params['health']}/{account.name}/app"
    return {
        "table": TABLE, "canary": {"customer": "canary", "item": primary}, "rule": params["media_rule"],
        "bucket": params["bucket_media"], "replica": params["bucket_media_replica"],
        "app_url": app, "protected_url": f"{app}/orders/canary",
    }  # fmt: skip


def quiet(account, region, name):
    """An alarm that is OK."""
    metrics = bridge.backend("cloudwatch", account.name, region)
    alarm = metrics.put_metric_alarm(
        name=name, namespace="app", metric_name="errors", comparison_operator="GreaterThanThreshold",
        evaluation_periods=1, period=60, threshold=1.0, statistic="Sum", description="", dimensions=[], alarm_actions=[],
    )  # fmt: skip
    alarm.update_state("nothing was counted", None, "OK")
