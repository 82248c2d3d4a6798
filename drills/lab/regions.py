"""Which regions do not answer, and how they fail to.

The control planes with one home (Route 53, CloudFront, IAM) have a switch
of their own: us-east-1 can lose its regional services without them, or
they can be lost alone.
"""

import re
import threading

from .wire import GLOBAL

MODES = ("reset", "hang")
# As AWS names them: part of the world, direction, number; also gov, iso, cn and eusc.
REGION = re.compile(r"[a-z]+(-[a-z]+)+-\d")


class Regions:
    """The regions that are down, for all accounts or for one."""

    def __init__(self):
        self.lock = threading.Lock()
        self.down = {}

    def set(self, document):
        """{"region", "state", "global"?, "account"?, "mode"?}; region "global" is the globals alone."""
        region, state = document["region"], document["state"]
        mode = document.get("mode", "reset")
        if state not in ("up", "down") or mode not in MODES:
            raise ValueError("state is up or down, mode is reset or hang")
        account = document.get("account", "*")
        if region != "global" and not REGION.fullmatch(region):
            raise ValueError(f"{region} is no region: a drill against it would prove nothing")
        names = [region]
        if document.get("global") and region != "global":
            if region != "us-east-1":
                raise ValueError("the global control planes live in us-east-1")
            names.append("global")
        with self.lock:
            for name in names:
                if state == "down":
                    self.down[(account, name)] = mode
                else:
                    self.down.pop((account, name), None)
                    if account == "*":
                        self.down = {k: v for k, v in self.down.items() if k[1] != name}

    def mode(self, account, service, region):
        """None when the home of the request answers, else how it does not."""
        home = "global" if service in GLOBAL else region
        with self.lock:
            return self.down.get((account, home)) or self.down.get(("*", home))

    def drop(self, account):
        with self.lock:
            self.down = {k: v for k, v in self.down.items() if k[0] != account}

    def show(self):
        with self.lock:
            return [
                {"account": account, "region": region, "mode": mode}
                for (account, region), mode in sorted(self.down.items())
            ]
