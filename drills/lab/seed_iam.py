"""The seed's roles, where they are asked for: one of a service in each region, alike but for the region's name."""

import json

from . import bridge

SERVICE = "orders"
#: a policy that both roles have
SHARED = "orders-logs"


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, *resources):
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}


def roles(account, primary, recovery, drifted=False):
    """`orders-<region>`: an inline policy, an attached one of its own, a shared one, and a boundary.

    Drifted, the one of the recovery region has less and more than the other, and trusts everybody.
    """
    here = bridge.backend("iam", account.name, "aws")
    shared = here.create_policy("", "/", document(allow("logs:PutLogEvents", "*")), SHARED, [])
    bound = here.create_policy("", "/", document(allow(["s3:*", "sqs:*", "logs:*"], "*")), "orders-boundary", [])
    for region in (primary, recovery):
        name, astray = f"{SERVICE}-{region}", drifted and region == recovery
        who = {"AWS": "*"} if astray else {"Service": "ecs-tasks.amazonaws.com"}
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": who}
        here.create_role(name, document(trust), "/", None if astray else bound.arn, "", [], "3600")
        objects = ["s3:GetObject"] if astray else ["s3:GetObject", "s3:PutObject"]
        bucket = f"arn:aws:s3:::{account.name}-orders-{region}"
        here.put_role_policy(name, f"objects-{region}", document(allow(objects, f"{bucket}/*")))
        here.attach_role_policy(shared.arn, name)
        queue = allow("sqs:SendMessage", f"arn:aws:sqs:{region}:{account.name}:orders")
        purge = {**allow("sqs:PurgeQueue", "*"), "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
        queues = here.create_policy("", "/", document(queue, purge), f"queues-{region}", [])
        if astray:
            here.put_role_policy(name, "more", document(allow("sns:Publish", "*")))
        else:
            here.attach_role_policy(queues.arn, name)
    return {"role_primary": f"{SERVICE}-{primary}", "role_recovery": f"{SERVICE}-{recovery}"}
