"""Temporary credentials: which there are, whose they are, when they end.

A session's key names the role's account, so that calls land there; the token
has to be the one that was given with it. (AWS STS API Reference, AssumeRole;
IAM User Guide, "Temporary security credentials".)
"""

import secrets
import time

from .errors import LabError

#: in the words of each protocol, and of S3: a session that has ended, one that never was
ENDED = {
    "s3": ("ExpiredToken", "The provided token has expired.", 400),
    "json": ("ExpiredTokenException", "The security token included in the request is expired", 400),
    "rest-json": ("ExpiredTokenException", "The security token included in the request is expired", 403),
    "query": ("ExpiredToken", "The security token included in the request is expired", 403),
}
UNKNOWN = {
    "s3": ("InvalidToken", "The provided token is malformed or otherwise invalid.", 400),
    "json": ("UnrecognizedClientException", "The security token included in the request is invalid.", 400),
    "rest-json": ("UnrecognizedClientException", "The security token included in the request is invalid.", 403),
    "query": ("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
}


class Session:
    """One role, assumed once."""

    def __init__(self, key, arn, ends):
        self.key, self.arn, self.ends = key, arn, ends
        self.secret = secrets.token_urlsafe(30)
        self.token = f"lab-session-{secrets.token_urlsafe(96)}"

    def over(self):
        return time.time() >= self.ends


class Sessions:
    """The sessions of an account's roles, by their keys."""

    def __init__(self):
        self.by_key = {}
        #: how many seconds the next ones last, whatever they were asked for
        self.seconds = None

    def begin(self, account, arn, seconds):
        lasts = seconds if self.seconds is None else min(self.seconds, seconds)
        session = Session(f"LAB{account}R{len(self.by_key) + 1}", arn, time.time() + lasts)
        self.by_key[session.key] = session
        return session

    def set(self, document):
        """Ends all sessions that there are, or says how long those to come last."""
        unknown = set(document) - {"account", "expire", "seconds"}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        if document.get("expire"):
            for session in self.by_key.values():
                session.ends = min(session.ends, time.time())
        if "seconds" in document:
            self.seconds = None if document["seconds"] is None else float(document["seconds"])

    def judge(self, call):
        """Refuses what is signed with the key of a session that is over, or of none."""
        wire = call.wire
        if "R" not in wire.key:
            return
        session = self.by_key.get(wire.key)
        if session is None or wire.token() != session.token:
            raise LabError(*said(UNKNOWN, call))
        if session.over():
            raise LabError(*said(ENDED, call))


def said(words, call):
    tongue = "s3" if call.service == "s3" else call.protocol
    return words.get(tongue, words["query"])
