"""The seed's table of the primary alone, and its global tables."""

from . import bridge
from .patches.dynamodb_global import Group, plant

#: strong consistency takes three regions
THIRD = "eu-west-3"


def tables(account, primary, recovery):
    """`profiles` has no replica, `catalog` one in the recovery region; `ledger` is strongly consistent."""
    for name, others, consistency in (
        ("profiles", (), None),
        ("catalog", (recovery,), "EVENTUAL"),
        ("ledger", (recovery, THIRD), "STRONG"),
    ):
        table = make(bridge.backend("dynamodb", account.name, primary), name, stream=consistency != "STRONG")
        if others:
            table.lab_group = Group([primary, *others], consistency)
        for region in others:
            replica = plant(bridge.backend("dynamodb", account.name, region), table)
            replica.lab_group = table.lab_group
    return {"table_profiles": "profiles", "table_catalog": "catalog", "table_ledger": "ledger"}


def make(here, name, stream):
    """A table with a few items; the strongly consistent need no stream."""
    spec = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"} if stream else {"StreamEnabled": False}
    table = here.create_table(
        name, schema=[{"AttributeName": "id", "KeyType": "HASH"}],
        attr=[{"AttributeName": "id", "AttributeType": "S"}], throughput=None, billing_mode="PAY_PER_REQUEST",
        global_indexes=[], indexes=[], streams=spec, sse_specification=None, deletion_protection_enabled=False,
        warm_throughput=None, tags=[{"Key": "service", "Value": "shop"}],
    )  # fmt: skip
    for number in range(3):
        here.put_item(name, {"id": {"S": f"{name}-{number}"}, "note": {"S": "before"}})
    return table
