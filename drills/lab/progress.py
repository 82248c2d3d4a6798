"""Things that take time, without a clock if so wished.

AWS works in the background: a restore is `creating` for a while. In the lab
"a while" is a number of looks (describe calls that return the thing) or of
seconds; with looks, a drill takes no longer than its polling and repeats
exactly.
"""

import time

from .caches import Caches
from .routing import Routing
from .sessions import Sessions
from .sms import Sms


class Progress:
    """One thing under way: what each look sees, and what happens at the end."""

    def __init__(self, looks, seconds, finish, stages=()):
        self.looks = looks
        self.seconds = seconds
        self.finish = finish
        self.stages = stages
        self.seen = 0
        self.since = time.monotonic()

    def over(self):
        if self.seconds is not None:
            return time.monotonic() - self.since >= self.seconds
        return self.seen >= self.looks

    def part(self):
        """How far, from 0 to 1."""
        if self.seconds is not None:
            return min(1.0, (time.monotonic() - self.since) / max(self.seconds, 0.001))
        return min(1.0, self.seen / max(self.looks, 1))

    def stage(self):
        """The word for now: the first stage for two looks at least, the later ones near the end."""
        if self.seconds is not None:
            return self.stages[min(len(self.stages) - 1, int(self.part() * len(self.stages)))]
        later = min(len(self.stages) - 1, max(0, self.looks - 2))
        into = self.seen - (self.looks - later)
        return self.stages[min(len(self.stages) - 1, max(0, into + 1))]


class Account:
    """What the lab itself remembers of one account, beside what moto holds."""

    def __init__(self, name, looks=2, seconds=None):
        self.name = name
        self.looks = looks
        self.seconds = seconds
        self.under_way = {}
        self.zones = {}
        self.globals = {}
        self.changes = {}
        self.distributions = {}
        self.invalidations = {}
        self.sessions = Sessions()
        self.sms = Sms()
        self.db_rests = ["available"]
        self.db_groups_late = 0
        self.replica_rests = ["ACTIVE"]
        self.cache_rests = ["available"]
        self.caches = Caches()
        self.routing = Routing()
        self.health_checks = {}
        self.seed = None
        self.numbers = 0

    def number(self):
        """A number that this account has not given yet."""
        self.numbers += 1
        return self.numbers

    def db_rest(self):
        """The status in which a database comes to rest; the last of them holds for all that follow."""
        return self.db_rests.pop(0) if len(self.db_rests) > 1 else self.db_rests[0]

    def replica_rest(self):
        """The same for a replica of a global table."""
        return self.replica_rests.pop(0) if len(self.replica_rests) > 1 else self.replica_rests[0]

    def cache_rest(self):
        """The same for a replication group of ElastiCache."""
        return self.cache_rests.pop(0) if len(self.cache_rests) > 1 else self.cache_rests[0]

    def begin(self, key, finish, stages=(), looks=None, seconds=None):
        """Starts something; with nothing to wait for it is over at once."""
        progress = Progress(
            self.looks if looks is None else looks,
            self.seconds if seconds is None else seconds,
            finish,
            stages,
        )
        self.under_way[key] = progress
        if progress.over():
            self.end(key)
        return progress

    def look(self, key):
        """One look at a thing: N of them still see it under way, the next does not."""
        progress = self.under_way.get(key)
        if progress is None:
            return
        if progress.over():
            self.end(key)
        else:
            progress.seen += 1

    def end(self, key):
        progress = self.under_way.pop(key, None)
        if progress is not None:
            progress.finish()

    def tick(self):
        """Ends what the clock has ended."""
        for key, progress in list(self.under_way.items()):
            if progress.seconds is not None and progress.over():
                self.end(key)

    def stop(self, key):
        """Forgets something under way without finishing it."""
        self.under_way.pop(key, None)
