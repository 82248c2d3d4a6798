"""Errors in the words of the service that would have raised them.

The client under test decides what to do from the code and the status, and
each protocol writes those in another place; so an error is kept as a value
and written out only once the protocol is known.
"""

import json
import uuid
from xml.sax.saxutils import escape

NAMESPACES = {
    "route53": "https://route53.amazonaws.com/doc/2013-04-01/",
    "cloudfront": "http://cloudfront.amazonaws.com/doc/2020-05-31/",
    "rds": "http://rds.amazonaws.com/doc/2014-10-31/",
    "sns": "http://sns.amazonaws.com/doc/2010-03-31/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}

VALIDATION_CODES = {
    "dynamodb": "ValidationException",
    "ecs": "InvalidParameterException",
    "route53": "InvalidInput",
    "cloudfront": "InvalidArgument",
    "cognito-idp": "InvalidParameterException",
    "s3": "InvalidArgument",
}


class LabError(Exception):
    """A refusal: the service's code, the HTTP status and the words."""

    def __init__(self, code, message, status=400, headers=None, extra=None):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers or {}
        self.extra = extra or {}


def validation_code(service, protocol):
    """The code a service gives to a request that its model forbids."""
    if service in VALIDATION_CODES:
        return VALIDATION_CODES[service]
    return "ValidationException" if "json" in protocol else "ValidationError"


def render(error, service, protocol):
    """(status, headers, body) of an error in the protocol's own form."""
    request_id = str(uuid.uuid4())
    headers = dict(error.headers)
    if "json" in protocol:
        headers["Content-Type"] = "application/x-amz-json-1.0"
        headers["x-amzn-errortype"] = error.code
        headers["x-amzn-requestid"] = request_id
        document = {"__type": error.code, "message": error.message, **error.extra}
        return error.status, headers, json.dumps(document).encode()
    headers["Content-Type"] = "text/xml" if protocol == "query" else "application/xml"
    extra = "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in error.extra.items())
    words = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>{extra}"
    if service == "s3":
        headers["x-amz-request-id"] = request_id
        body = f"<Error>{words}<RequestId>{request_id}</RequestId></Error>"
    else:
        headers["x-amzn-requestid"] = request_id
        fault = "Sender" if error.status < 500 else "Receiver"
        namespace = NAMESPACES.get(service)
        mark = f' xmlns="{namespace}"' if namespace else ""
        body = (
            f"<ErrorResponse{mark}><Error><Type>{fault}</Type>{words}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return error.status, headers, f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode()


def code_in(status, headers, body):
    """The error code inside an answer that somebody else wrote, or None."""
    if status < 400:
        return None
    lower = {k.lower(): v for k, v in headers.items()}
    if "x-amzn-errortype" in lower:
        return str(lower["x-amzn-errortype"]).split("#")[-1].split(":")[0]
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    if "<Code>" in text:
        return text.split("<Code>", 1)[1].split("</Code>", 1)[0]
    if text.startswith("{"):
        try:
            return str(json.loads(text).get("__type", "")).split("#")[-1] or str(status)
        except ValueError:
            pass
    return str(status)
