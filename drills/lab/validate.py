"""The model as a judge: required, length, range, pattern, enum.

The client under test checks almost none of this before it sends, and moto
accepts nearly everything, so a drill would pass with a request that AWS
refuses. This walk is the only place where that difference is made good.
"""

import functools
import re
from datetime import datetime

#: members that AWS itself accepts beyond its published pattern or length
TOLERATED = {
    ("sts", "RoleArn"),
}


@functools.lru_cache(maxsize=4096)
def compiled(pattern):
    """The pattern as Python reads it, or None if it cannot."""
    text = re.sub(r"\\u\{?([0-9A-Fa-f]{4})\}?", lambda m: chr(int(m.group(1), 16)), pattern)
    text = text.replace(r"\p{L}", r"\w").replace(r"\p{N}", r"\d").replace(r"\p{Z}", r"\s")
    try:
        return re.compile(text, re.DOTALL)
    except re.error:
        return None


def violations(call):
    """Every violation of the operation's input shape, in AWS's words."""
    found = []
    if call.operation.input_shape is not None:
        walk(call.operation.input_shape, call.params, [], found, call.service)
    return found


def lower_first(name):
    return name[:1].lower() + name[1:]


def place(path):
    return ".".join(lower_first(part) for part in path) or "input"


def complain(found, value, path, rule):
    shown = "null" if value is None else str(value)[:200]
    found.append(f"Value '{shown}' at '{place(path)}' failed to satisfy constraint: {rule}")


def walk(shape, value, path, found, service):
    """Checks one value and goes on into what it holds."""
    if value is None or (service, path[-1] if path else "") in TOLERATED:
        return
    kind = shape.type_name
    if kind == "structure":
        if isinstance(value, dict) and not getattr(shape, "is_document_type", False):
            structure(shape, value, path, found, service)
    elif kind == "list":
        bounds(shape, len(value), value, path, found, "length")
        for index, member in enumerate(value):
            walk(shape.member, member, [*path, f"{index + 1}.member"], found, service)
    elif kind == "map":
        bounds(shape, len(value), value, path, found, "length")
        for key, member in value.items():
            walk(shape.key, key, [*path, "key"], found, service)
            walk(shape.value, member, [*path, str(key)], found, service)
    elif kind == "string":
        string(shape, value, path, found)
    elif kind in ("integer", "long", "float", "double") and not isinstance(value, datetime):
        bounds(shape, value, value, path, found, "value")


def structure(shape, value, path, found, service):
    for name in shape.required_members:
        if value.get(name) is None:
            complain(found, None, [*path, name], "Member must not be null")
    if shape.metadata.get("union") and len([v for v in value.values() if v is not None]) > 1:
        complain(found, list(value), path, "Member must have exactly one member set")
    for name, member in shape.members.items():
        if value.get(name) is not None:
            walk(member, value[name], [*path, name], found, service)


def string(shape, value, path, found):
    text = str(value)
    bounds(shape, len(text), text, path, found, "length")
    pattern = shape.metadata.get("pattern")
    if pattern:
        rule = compiled(pattern)
        if rule is not None and not rule.fullmatch(text):
            words = f"Member must satisfy regular expression pattern: {pattern}"
            complain(found, text, path, words)
    options = getattr(shape, "enum", None)
    if options and text not in options:
        complain(found, text, path, f"Member must satisfy enum value set: [{', '.join(options)}]")


def bounds(shape, size, value, path, found, what):
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    have = "have length " if what == "length" else "have value "
    if least is not None and size < least:
        complain(found, value, path, f"Member must {have}greater than or equal to {least}")
    if most is not None and size > most:
        complain(found, value, path, f"Member must {have}less than or equal to {most}")


def summary(found):
    """One message for all of them, as AWS counts them."""
    plural = "error" if len(found) == 1 else "errors"
    return f"{len(found)} validation {plural} detected: {'; '.join(found)}"
