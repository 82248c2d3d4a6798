"""RPC v2 CBOR, the protocol in which the Rust SDK speaks to CloudWatch.

moto knows JSON and the query protocol. A request is therefore read and written
anew as JSON before anyone else sees it, and the answer the other way round; both
with the codec that botocore has for its own clients, held to the model's shapes.

Smithy RPC v2 CBOR: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

import json
import re

from botocore.parsers import RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer
from moto.core.utils import get_service_model

from .errors import LabError

PATH = re.compile(r"/service/(\w+)/operation/(\w+)")
TYPE = "application/cbor"
HEADERS = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": TYPE}


def decoded(body):
    """What some bytes of CBOR say."""
    parser = RpcV2CBORParser()
    return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}


def encoded(value, shape):
    """A value as the bytes of its shape."""
    body = bytearray()
    RpcV2CBORSerializer()._serialize_data_item(body, value, shape)
    return bytes(body)


def spoken(wire):
    """The operation that a CBOR request names, or None where it is none."""
    if wire.headers.get("smithy-protocol") != "rpc-v2-cbor":
        return None
    return wire.path.rsplit("/", 1)[-1] or "?"


def settle(wire):
    """Writes a CBOR request anew as JSON."""
    found = PATH.fullmatch(wire.path)
    if not found:
        raise LabError("UnknownOperationException", "no such operation in the model", 404)
    try:
        document = json.dumps(decoded(wire.body), default=lambda moment: moment.timestamp())
    except Exception as error:
        raise LabError("SerializationException", f"the body is no CBOR of {wire.cbor}: {error}") from error
    wire.path, wire.body = "/", document.encode()
    wire.headers.pop("smithy-protocol")
    wire.headers |= {
        "content-type": "application/x-amz-json-1.0", "x-amz-target": ".".join(found.groups()),
        "content-length": str(len(wire.body)),
    }  # fmt: skip


def told(wire, result):
    """The same answer in CBOR; silence, and what nobody is meant to read, stay as they are."""
    if not isinstance(result, tuple):
        return result
    status, headers, body = result
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return result
    own = {k: v for k, v in headers.items() if k.lower() not in ("content-type", "content-length")}
    if status >= 400:
        return status, own | HEADERS, error(document)
    shape = get_service_model(wire.service).operation_model(wire.cbor).output_shape
    return status, own | HEADERS, encoded(document, shape) if shape else b"\xa0"


def error(document):
    """A refusal: a map of texts, which no shape of the operation describes."""
    body, texts = bytearray(), {k: str(v) for k, v in document.items()}
    writer = RpcV2CBORSerializer()
    body.append(0xA0 | len(texts))
    for key, value in texts.items():
        writer._serialize_type_string(body, key, None, None)
        writer._serialize_type_string(body, value, None, None)
    return bytes(body)
