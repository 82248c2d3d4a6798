"""What moto answers differently from AWS, put right operation by operation.

A patch is a function for one operation. It may refuse, change moto's state
before or after moto has answered, or answer alone; what has no patch goes
to moto as it came.
"""

import importlib

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionContext, ActionResult
from moto.core.serialize import get_serializer_class

from .. import bridge
from ..errors import LabError

OPERATIONS = {}
MODULES = (
    "sts", "rds", "rds_parameters", "rds_pitr", "rds_replica", "rds_global", "rds_cluster", "route53", "dynamodb", "dynamodb_global",
    "dynamodb_restore", "s3", "s3_replication", "s3_rules", "ecs", "cloudfront", "cloudwatch", "cloudwatch_alarms",
    "backup", "backup_copy", "elasticache", "elasticache_global", "preflight", "iam", "sns", "cognito",
    "cognito_replicas", "functions", "key_values", "lists", "route53_health", "routing_controls",
)  # fmt: skip


def operation(service, *names):
    """Registers a function as the answer to some operations of a service."""

    def register(function):
        for name in names:
            OPERATIONS[(service, name)] = function
        return function

    return register


def load():
    """Imports every patch, so that each registers itself."""
    for module in MODULES:
        importlib.import_module(f"{__name__}.{module}")


def answer(call):
    """(status, headers, body) of a call, from a patch or from moto."""
    if call.service == "s3":
        OPERATIONS[("s3", "*")](call)
    function = OPERATIONS.get((call.service, call.name))
    if function is None:
        return bridge.dispatch(call)
    try:
        result = function(call)
    except ServiceException as error:
        result = error
    if isinstance(result, tuple):
        return result
    return written(call, result)


def written(call, result):
    """A dict (or moto objects, or an exception) in the protocol's form."""
    handler = type("Transformers", (), {})()
    handler.RESPONSE_KEY_PATH_TO_TRANSFORMER = transformers(call.service)
    serializer = get_serializer_class(call.service, call.protocol)
    context = ActionContext(call.model, call.operation, serializer, handler)
    status, headers, body = ActionResult(result).execute_result(context)
    body = body.encode() if isinstance(body, str) else (body or b"")
    return int(status), {str(k): str(v) for k, v in headers.items()}, body


def transformers(service):
    """The value changes moto's own response class asks of the serialiser."""
    if service == "rds":
        from moto.rds.responses import RDSResponse

        return RDSResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER
    return {}


def refuse(code, message, status=400, **extra):
    """Raises the service's error."""
    raise LabError(code, message, status, **extra)
