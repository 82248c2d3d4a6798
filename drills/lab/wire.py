"""What came over the wire, before anyone knows what it asks.

Who is asking and where comes from the signature's credential scope alone:
the key names the account, the scope names region and service. Signatures
themselves are not checked; unsigned requests are refused.
"""

import re
from urllib.parse import parse_qs, unquote, urlsplit

from .errors import LabError

SCOPE = re.compile(r"Credential=([^/,\s]+)/(\d{8})/([^/]*)/([^/]+)/aws4_request")
#: signed for several regions at once: the scope names none, a header does
ASYMMETRIC = re.compile(r"AWS4-ECDSA-P256-SHA256 Credential=([^/,\s]+)/\d{8}/([^/]+)/aws4_request")
KEY = re.compile(r"^LAB(\d{12})[A-Z0-9]*$")

#: services whose control plane has one home, whatever the signature says
GLOBAL = {"route53", "cloudfront", "iam", "organizations"}

#: services that take no other signature than one for all regions
EVERYWHERE = {"cloudfront-keyvaluestore"}

#: signing names that are not the name of the model
MODELS = {"monitoring": "cloudwatch", "email": "ses", "states": "stepfunctions"}


class Wire:
    """One request as bytes: method, raw path, query, headers, body."""

    def __init__(self, method, target, headers, body):
        parts = urlsplit(target)
        self.method = method
        self.path = parts.path or "/"
        self.query = parts.query
        self.headers = {k.lower(): v for k, v in headers}
        self.body = body
        self.account = None
        self.key = None
        self.region = None
        self.service = None
        self.cbor = None

    def identify(self):
        """Reads account, region and service off the credential scope."""
        authorization = self.headers.get("authorization", "")
        found, wide = SCOPE.search(authorization), ASYMMETRIC.match(authorization)
        if wide:
            key, service = wide.groups()
            region = self.headers.get("x-amz-region-set")
            if not region:
                raise LabError("InvalidSignatureException", "the signature names no set of regions", 403)
        elif found:
            key, _, region, service = found.groups()
        else:
            credential = parse_qs(self.query).get("X-Amz-Credential")
            if not credential:
                raise LabError("MissingAuthenticationToken", "Missing Authentication Token", 403)
            key, _, region, service, _ = (unquote(credential[0]) + "////").split("/")[:5]
        named = KEY.match(key)
        if not named:
            raise LabError(
                "InvalidClientTokenId",
                "The security token included in the request is invalid: "
                "a lab key is LAB and the account's 12 digits",
                403,
            )
        self.account = named.group(1)
        self.key = key
        self.service = MODELS.get(service, service)
        if self.service in EVERYWHERE and not wide:
            raise LabError("InvalidSignatureException", f"{service} takes signatures for all regions alone", 403)
        self.region = "us-east-1" if self.service in GLOBAL else region

    def token(self):
        """The token of a session, where one is signed with."""
        presigned = parse_qs(self.query).get("X-Amz-Security-Token", [None])[0]
        return self.headers.get("x-amz-security-token", presigned)

    def settle_s3(self):
        """Brings an S3 request to path style and its body to plain bytes."""
        if self.service != "s3":
            return
        bucket = bucket_in_host(self.headers.get("host", ""))
        if bucket:
            self.path = f"/{bucket}{self.path}"
        signed = self.headers.get("x-amz-content-sha256", "")
        if signed.startswith("STREAMING-") or "aws-chunked" in self.headers.get(
            "content-encoding", ""
        ):
            self.body, trailers = unchunk(self.body)
            self.headers.update(trailers)
            self.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
            self.headers.pop("x-amz-trailer", None)
            self.headers.pop("x-amz-decoded-content-length", None)
            left = [
                part.strip()
                for part in self.headers.get("content-encoding", "").split(",")
                if part.strip() not in ("aws-chunked", "")
            ]
            if left:
                self.headers["content-encoding"] = ",".join(left)
            else:
                self.headers.pop("content-encoding", None)
        self.headers["content-length"] = str(len(self.body))


def bucket_in_host(host):
    """The bucket of a virtual-host style name, or None for path style."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if re.fullmatch(r"[\d.]+", name) or name.startswith("["):
        return None
    for mark in (".s3.", ".s3-"):
        if mark in name:
            return name.split(mark, 1)[0]
    if name.endswith(".localhost"):
        return name[: -len(".localhost")]
    return None


def unchunk(body):
    """The payload and trailing headers of an aws-chunked body."""
    payload, at = [], 0
    while True:
        end = body.find(b"\r\n", at)
        if end < 0:
            raise LabError("IncompleteBody", "The request body ended inside a chunk", 400)
        size = int(body[at:end].split(b";")[0], 16)
        at = end + 2
        if size == 0:
            break
        payload.append(body[at : at + size])
        at += size + 2
    trailers = {}
    for line in body[at:].split(b"\r\n"):
        if b":" in line:
            name, value = line.decode("latin-1").split(":", 1)
            if name.lower() != "x-amz-trailer-signature":
                trailers[name.strip().lower()] = value.strip()
    return b"".join(payload), trailers
