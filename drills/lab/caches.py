"""What an account has of ElastiCache, each thing by region and name."""


class Caches:
    """Replication groups, snapshots, global datastores, and where a group can be made."""

    def __init__(self):
        self.groups, self.snapshots, self.globals = {}, {}, {}
        self.subnet_groups, self.parameter_groups = set(), set()
