"""What an account's SNS knows of SMS, beside moto."""


class Sms:
    """Who opted out, what the sandbox allows, and every text that was taken."""

    def __init__(self):
        self.opted_out = set()
        self.verified = set()
        self.sandbox = False
        self.spend_limit = "1"
        self.sent = []

    def set(self, document):
        """Takes what a drill says of it; refuses what it does not know."""
        for name in ("opted_out", "verified"):
            if name in document:
                setattr(self, name, set(document[name]))
        self.sandbox = bool(document.get("sandbox", self.sandbox))
        self.spend_limit = str(document.get("spend_limit", self.spend_limit))
        unknown = set(document) - {"account", "opted_out", "verified", "sandbox", "spend_limit"}
        if unknown:
            raise ValueError(f"unknown field {sorted(unknown)}")

    def reaches(self, number):
        return number not in self.opted_out and (not self.sandbox or number in self.verified)
