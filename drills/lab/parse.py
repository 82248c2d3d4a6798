"""From bytes to an operation and its parameters, by the service's model.

moto carries a router and parsers for every protocol built on botocore's
models; they are used as a library here, before moto answers anything, so
that a request can be judged against the model first.
"""

from urllib.parse import quote, unquote

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import NotFound, get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

from .errors import LabError

HOSTS = {
    "route53": "route53.amazonaws.com",
    "cloudfront": "cloudfront.amazonaws.com",
    "iam": "iam.amazonaws.com",
    "cloudfront-keyvaluestore": "cloudfront-kvs.global.api.aws",
}

#: services whose host is not called as their model is
NAMES = {"cloudwatch": "monitoring"}

#: services whose paths hold names with a slash in them, which must not be taken for the path's own
SLASHES = {"cloudfront-keyvaluestore"}

READ_WORDS = (
    "Describe", "List", "Get", "Head", "Query", "Scan", "BatchGet", "TestDNSAnswer",
    "Search", "Lookup", "Simulate", "Validate", "SelectObject", "TransactGet",
    "CheckIf",
)  # fmt: skip


class Call:
    """One request understood: who, where, which operation, with what."""

    def __init__(self, wire, request, model, operation, protocol, params):
        self.wire = wire
        self.request = request
        self.model = model
        self.operation = operation
        self.protocol = protocol
        self.params = params
        self.account = wire.account
        self.region = wire.region
        self.service = wire.service
        self.state = None
        self.lab = None

    @property
    def name(self):
        return self.operation.name

    @property
    def is_read(self):
        return self.name.startswith(READ_WORDS) or self.name == "AssumeRole"

    def rebuild(self, headers=None, path=None):
        """The same request with some headers or its path changed."""
        self.wire.headers.update(headers or {})
        if path:
            self.wire.path = path
        self.request = build(self.wire)


def protocol_of(service):
    """The protocol's name, also for a service that cannot be parsed."""
    try:
        return str(get_service_model(service).protocol)
    except Exception:
        return "query"


def build(wire):
    """The request in the form moto's parts take it."""
    host = HOSTS.get(wire.service, f"{NAMES.get(wire.service, wire.service)}.{wire.region}.amazonaws.com")
    headers = {
        name: value
        for name, value in wire.headers.items()
        if name not in ("host", "transfer-encoding", "connection", "expect", "accept-encoding")
    }
    headers["x-moto-account-id"] = wire.account
    headers["user-agent"] = "lab"
    query = f"?{wire.query}" if wire.query else ""
    if wire.service in SLASHES:
        path = wire.path.replace("%", "%25")
    else:
        path = wire.path.replace(";", "%3B") if wire.service == "s3" else quote(unquote(wire.path), safe="/~")
    return Request.from_primitives(wire.method, f"https://{host}{path}{query}", headers, wire.body)


def warm(services):
    """Reads the models before the first request needs them; best done beside the serving."""
    for service in services:
        get_service_router(service)
        get_service_model(service)


def understand(wire):
    """Routes and parses; refuses what no model knows."""
    try:
        model = get_service_model(wire.service)
    except Exception as error:
        raise LabError("UnknownService", f"no model of {wire.service}", 404) from error
    request = build(wire)
    try:
        operation, uri = get_service_router(wire.service).match(request)
    except (NotFound, NotImplementedError, HTTPException) as error:
        raise LabError("UnknownOperationException", "no such operation in the model", 404) from error
    protocol = determine_request_protocol(model, request.content_type)
    shape = operation.input_shape
    parser = PROTOCOL_PARSERS[protocol](operation)
    try:
        params = parser.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": wire.body if protocol != "query" else b"",
                "url_path": request.path,
                "url_params": uri,
            }
        )
    except Exception as error:
        call = Call(wire, request, model, operation, protocol, {})
        code = "SerializationException" if "json" in protocol else "MalformedInput"
        if protocol == "rest-xml":
            code = "MalformedXML"
        problem = LabError(code, f"the request cannot be read as {operation.name}: {error}", 400)
        problem.call = call
        raise problem from error
    if shape is None:
        params = {}
    elif wire.service in SLASHES:
        in_path = [name for name, member in shape.members.items() if member.serialization.get("location") == "uri"]
        params |= {name: unquote(params[name]) for name in in_path}
    return Call(wire, request, model, operation, protocol, params)
