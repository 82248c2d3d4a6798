"""The seed's recovery points: a table of the primary, kept in the recovery region's vault."""

from . import bridge
from .patches.backup import kept, plant

VAULT = "dr-vault"
#: a vault for copies, in a region that is neither
SECOND, SECOND_REGION = "second-vault", "eu-north-1"


def points(account, primary, recovery):
    """Copies that were made 20 and 80 minutes ago, and a newer one that is not whole."""
    table = bridge.backend("dynamodb", account.name, primary).tables["profiles"]
    newest = plant(account, account.name, recovery, VAULT, table, 20)
    plant(account, account.name, recovery, VAULT, table, 80)
    plant(account, account.name, recovery, VAULT, table, 5, "PARTIAL")
    other = bridge.backend("dynamodb", account.name, primary).tables["sessions"]
    plant(account, account.name, recovery, VAULT, other, 10)
    return {"vault": VAULT, "backup_point_profiles": newest, "arn_profiles": table.table_arn}


def second(account):
    """An empty vault in a third region."""
    arn = f"arn:aws:backup:{SECOND_REGION}:{account.name}:backup-vault:{SECOND}"
    kept(account).vaults[(SECOND_REGION, SECOND)] = {"arn": arn, "points": {}}
    return {"vault_second": SECOND, "vault_second_arn": arn}
