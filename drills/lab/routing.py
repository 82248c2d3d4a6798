"""What an account has of ARC and of health checks: controls, what each endpoint shows of them, rules."""

REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "ap-southeast-2", "ap-northeast-1")
#: so many endpoints have to work together for a change
QUORUM = 3


class Control:
    """A switch of a panel."""

    def __init__(self, arn, name, panel, state):
        self.arn, self.name, self.panel, self.state = arn, name, panel, state


class Rule:
    """An assertion rule: so many of these controls are On after any change."""

    def __init__(self, arn, name, controls, least, wait=0.0):
        self.arn, self.name, self.controls, self.least, self.wait = arn, name, controls, least, wait
        self.changed = None


class Routing:
    """A cluster: its controls by ARN, its rules, and what each endpoint shows where that is not the truth."""

    def __init__(self):
        self.controls, self.rules, self.stale = {}, [], {}

    def shown(self, region, control):
        """The state of a control as the endpoint of a region shows it."""
        return self.stale.get(region, {}).get(control.arn, control.state)
