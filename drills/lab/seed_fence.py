"""The seed's security groups that let nobody in: what a database is fenced by."""

from . import bridge


def groups(account, primary, recovery):
    """One without a rule in each region."""
    return {
        "isolated_group_id": isolated(account, recovery),
        "isolated_group_id_primary": isolated(account, primary),
    }


def isolated(account, region):
    cloud = bridge.backend("ec2", account.name, region)
    group = cloud.create_security_group("dr-isolated", "lets nobody in or out", cloud.default_vpc.id)
    # A new group lets everything out.
    group.egress_rules.clear()
    return group.id
