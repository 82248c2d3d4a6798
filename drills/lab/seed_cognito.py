"""The seed's identity: a pool that is lost and its replica, a standby pool, and an export of users for it."""

from datetime import timedelta

from moto.core.utils import utcnow

from . import bridge, seed_objects
from .patches import cognito, cognito_replicas

NAMES = ("ann", "ben", "çem", "dana", "eve", "finn", "gül", "hugo", "ida", "jo", "kai", "lea")


def pools(account, primary, recovery, document):
    """Pools in both regions; `eve` is in the standby one. The newest export holds twelve users, an older one three."""
    here = bridge.backend("s3", account.name, "aws")
    identity = cognito.kept(account)
    identity.ages = list(document.get("import_ages", ()))
    lost = identity.add(account.name, primary, "shop")
    cognito_replicas.plant(account, lost, primary, recovery, document.get("replica_is", "INACTIVE"))
    standby = identity.add(account.name, recovery, "shop-standby", verifies=document.get("pool_verifies", ("email",)))
    standby.put("eve", "CONFIRMED", {"email": "eve@example.com"})
    bucket = seed_objects.make(here, f"{account.name}-exports-{recovery}", recovery, True)
    for names, minutes in ((NAMES[:3], 1485), (NAMES, 45)):
        new = here.put_object(bucket.name, "users.csv", export(names), disable_notification=True)
        new.last_modified = utcnow() - timedelta(minutes=minutes)
    return {
        "pool": lost.id, "pool_standby": standby.id, "bucket_exports": bucket.name, "export_users": "users.csv",
        "import_role": f"arn:aws:iam::{account.name}:role/cognito-import-logs",
    }  # fmt: skip


def export(names):
    """A file as a team writes it: the pool's columns in an order of its own, commas behind backslashes."""
    columns = sorted(cognito.COLUMNS)
    given = {"email_verified": "true", "cognito:mfa_enabled": "false", "address": "1 High Street\\, Town"}
    rows = [[{**given, "cognito:username": n, "email": f"{n}@example.com"}.get(c, "") for c in columns] for n in names]
    return "".join(f"{','.join(row)}\n" for row in [columns, *rows]).encode()
