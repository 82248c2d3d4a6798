"""Replicas of user pools: one directory under one id in two regions; the second only lets people sign in.

A replica is made INACTIVE, and its status is changed from either region (botocore's model of
`UpdateUserPoolReplica`); a change is seen after its looks at `ListUserPoolReplicas`.
"""

from . import operation, refuse
from .cognito import kept, pool_of

CHANGES = ("ACTIVE", "INACTIVE")


def replicas_of(call):
    """The replicas of a pool by region; a pool without any has none, and that is all that is said of it."""
    pool = pool_of(call)
    return pool, kept(call.state).replicas.get(pool.id, {})


def shown(pool, region, found):
    arn = pool.arn.replace(f":{pool.id.split('_')[0]}:", f":{region}:")
    return {"RegionName": region, "Status": found["status"], "Role": found["role"], "UserPoolArn": arn}


def home(call, found):
    """What only the primary does."""
    if found.get(call.region, {}).get("role") == "SECONDARY":
        refuse("OperationNotEnabledException", "This operation is not supported in secondary replica regions.")


@operation("cognito-idp", "CreateUserPoolReplica")
def create(call):
    pool, found = replicas_of(call)
    region = call.params["RegionName"]
    home(call, found)
    if pool.tier == "LITE":
        refuse("FeatureUnavailableInTierException", "Multi-region replication needs the Essentials or Plus tier.")
    if found:
        refuse("LimitExceededException", "The user pool has a secondary replica.")
    plant(call.state, pool, call.region, region, "CREATING")
    return {"UserPoolReplica": shown(pool, region, kept(call.state).replicas[pool.id][region])}


@operation("cognito-idp", "ListUserPoolReplicas")
def listed(call):
    first = int(call.params.get("NextToken") or 0)
    if not first:
        call.state.look(("pool-replica", call.params["UserPoolId"]))
    pool, found = replicas_of(call)
    every = [shown(pool, region, each) for region, each in found.items()]
    # A page holds one: whoever takes the first page takes the primary.
    more = {"NextToken": str(first + 1)} if first + 1 < len(every) else {}
    return {"UserPoolReplicas": every[first : first + 1]} | more


@operation("cognito-idp", "UpdateUserPoolReplica")
def update(call):
    pool, found = replicas_of(call)
    region, status = call.params["RegionName"], call.params["Status"]
    each = found.get(region)
    if each is None:
        refuse("ResourceNotFoundException", f"User pool {pool.id} has no replica in {region}.")
    if each["role"] == "PRIMARY" or each["status"] not in CHANGES:
        refuse("InvalidParameterException", f"The replica in {region} is {each['role']} and {each['status']}.")
    if each.get("wanted", each["status"]) != status:
        each["wanted"] = status
        call.state.begin(("pool-replica", pool.id), lambda: each.update(status=each.pop("wanted")))
    return {"UserPoolReplica": shown(pool, region, each)}


@operation("cognito-idp", "DeleteUserPoolReplica")
def delete(call):
    pool, found = replicas_of(call)
    region = call.params["RegionName"]
    home(call, found)
    each = found.get(region)
    if each is None:
        refuse("ResourceNotFoundException", f"User pool {pool.id} has no replica in {region}.")
    if each["status"] != "INACTIVE" or each["role"] == "PRIMARY":
        refuse("InvalidParameterException", f"The replica in {region} is {each['role']} and {each['status']}.")
    each["status"] = "DELETING"
    identity = kept(call.state)

    def finish():
        identity.pools.pop((region, pool.id))
        identity.replicas.pop(pool.id)

    call.state.begin(("pool-replica", pool.id), finish)
    return {"UserPoolReplica": shown(pool, region, each)}


def plant(state, pool, primary, region, status="INACTIVE"):
    """The pool in one more region: the same users under the same id."""
    identity = kept(state)
    identity.pools[(region, pool.id)] = pool
    made = {"status": status, "role": "SECONDARY"}
    identity.replicas[pool.id] = {primary: {"status": "ACTIVE", "role": "PRIMARY"}, region: made}
    if status == "CREATING":
        state.begin(("pool-replica", pool.id), lambda: made.update(status="INACTIVE"))
