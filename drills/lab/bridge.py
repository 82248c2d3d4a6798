"""moto, held in this process and called without a server.

Requests are handed to moto's own response classes with the account in a
header that moto reads; dropping an account drops its backends.
"""

import os
import re
import threading

os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

import moto.backends  # noqa: E402
from moto.core import DEFAULT_ACCOUNT_ID  # noqa: E402
from moto.core.base_backend import BackendDict  # noqa: E402
from moto.core.common_models import BaseModel  # noqa: E402
from werkzeug.exceptions import HTTPException  # noqa: E402

from .errors import LabError  # noqa: E402

# moto keeps every object it ever made for a dashboard nobody opens here; a lab
# that plants hundreds of accounts would run out of memory
BaseModel.__new__ = staticmethod(lambda kind, *_, **__: object.__new__(kind))

PACKAGES = {"lambda": "awslambda", "elbv2": "elbv2", "elasticloadbalancing": "elbv2"}

_routes = {}
_lock = threading.Lock()


def backends(service):
    """moto's backends of a service: [account][region]."""
    return moto.backends.get_backend(PACKAGES.get(service, service))


def backend(service, account, region):
    return backends(service)[account][region]


def routes(service):
    """(pattern, handler) pairs of a service, compiled once."""
    with _lock:
        if service not in _routes:
            pool = backends(service)[DEFAULT_ACCOUNT_ID]
            one = pool["us-east-1"] if "us-east-1" in pool else pool["aws"]
            _routes[service] = [(re.compile(url), run) for url, run in one.urls.items()]
        return _routes[service]


def dispatch(call):
    """(status, headers, body) of moto's answer."""
    request = call.request
    clean = request.raw_url.split("?", 1)[0]
    try:
        handlers = routes(call.service)
    except Exception as error:
        raise LabError("NotImplemented", f"the lab has no {call.service}", 501) from error
    for pattern, run in handlers:
        if pattern.match(clean):
            try:
                status, headers, body = run(request, request.raw_url, request.headers)
            except HTTPException as error:
                status, headers, body = error.code, dict(error.get_headers()), error.get_body()
            except NotImplementedError as error:
                raise LabError("NotImplemented", f"the lab has no {call.name}: {error}", 501) from error
            body = body.encode() if isinstance(body, str) else (body or b"")
            return int(status), {str(k): str(v) for k, v in dict(headers).items()}, body
    raise LabError("NotImplemented", f"the lab has no {call.name}", 501)


def drop(account):
    """Everything moto holds of an account, gone."""
    for pool in list(BackendDict._instances):
        if account in pool:
            pool[account].clear()  # a cache inside moto keeps the empty shell
            del pool[account]
    buckets = getattr(backends("s3"), "bucket_accounts", None)
    if buckets is not None:
        for name in [n for n, owner in buckets.items() if account in str(owner)]:
            del buckets[name]
