"""Partial document update: the six operations, and the paths that they refuse.

https://learn.microsoft.com/azure/cosmos-db/partial-document-update#supported-operations
"""

from typing import NamedTuple

from cosmos_engine.errors import BadRequestError
from cosmos_engine.values import Json, double

MOST_OPERATIONS = 10
"""https://learn.microsoft.com/azure/cosmos-db/partial-document-update-faq"""
OPERATIONS = ("add", "set", "replace", "remove", "incr", "move")
SYSTEM = ("_rid", "_self", "_etag", "_attachments", "_ts")


class Operation(NamedTuple):
    """A checked operation; origin is the path that a move takes from."""

    verb: str
    path: tuple[str, ...]
    value: Json = None
    origin: tuple[str, ...] = ()


def check(request: Json, partition_path: tuple[str, ...]) -> list[Operation]:
    """The operations of a patch request.

    Raises:
        BadRequestError: they are malformed, too many, or touch the id, the partition key or a system property.
    """
    operations = request.get("operations") if isinstance(request, dict) else None
    if not isinstance(operations, list) or not operations:
        raise BadRequestError("A patch needs a list of operations.")
    if len(operations) > MOST_OPERATIONS:
        raise BadRequestError(
            f"The number of patch operations can't exceed '{MOST_OPERATIONS}'. It has {len(operations)}."
        )
    unsupported = set(request) - {"operations", "condition"}
    if unsupported or not isinstance(request.get("condition"), str | None):
        raise BadRequestError("A patch request has operations and a condition, which is a string, and nothing else.")
    return [_check_operation(operation, partition_path) for operation in operations]


def apply(operation: Operation, document: Json) -> Json:
    """The document after the operation; it may be changed in place.

    Raises:
        BadRequestError: the path does not exist and has to, or incr meets a value that is no number.
    """
    match operation.verb:
        case "add":
            _put(document, operation.path, operation.value, insert=True)
        case "set":
            _put(document, operation.path, operation.value, insert=False)
        case "replace":
            parent, name = _parent(document, operation.path)
            parent[_existing(parent, name, operation.path)] = operation.value
        case "remove":
            _take(document, operation.path)
        case "incr":
            _increment(document, operation.path, operation.value)
        case "move":
            _put(document, operation.path, _take(document, operation.origin), insert=True)
    return document


def _check_operation(operation: Json, partition_path: tuple[str, ...]) -> Operation:
    if not isinstance(operation, dict) or operation.get("op") not in OPERATIONS:
        raise BadRequestError(f"A patch operation has an op, one of {', '.join(OPERATIONS)}.")
    verb = operation["op"]
    path = _check_path(operation.get("path"), partition_path)
    if verb == "move":
        origin = _check_path(operation.get("from"), partition_path)
        return Operation(verb, path, origin=origin)
    if verb == "remove":
        return Operation(verb, path)
    if "value" not in operation:
        raise BadRequestError(f"The patch operation '{verb}' needs a value.")
    if verb == "incr" and not _is_number(operation["value"]):
        raise BadRequestError("The value of an incr operation must be a number.")
    return Operation(verb, path, operation["value"])


def _check_path(path: Json, partition_path: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(path, str) or not path.startswith("/") or path == "/":
        raise BadRequestError(f"The patch path '{path}' is invalid: it looks like /property.")
    parts = tuple(part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/"))
    if parts == partition_path:
        raise BadRequestError(f"The patch path '{path}' is invalid: the partition key cannot be patched.")
    if parts[0] == "id" or parts[0] in SYSTEM:
        raise BadRequestError(f"The patch path '{path}' is invalid: this property cannot be patched.")
    return parts


def _put(document: Json, path: tuple[str, ...], value: Json, *, insert: bool) -> None:
    parent, name = _parent(document, path)
    if isinstance(parent, dict):
        parent[name] = value
        return
    index = len(parent) if name == "-" else _index(name, len(parent), path)
    if insert or index == len(parent):
        parent.insert(index, value)
    else:
        parent[index] = value


def _take(document: Json, path: tuple[str, ...]) -> Json:
    parent, name = _parent(document, path)
    return parent.pop(_existing(parent, name, path))


def _increment(document: Json, path: tuple[str, ...], by: Json) -> None:
    parent, name = _parent(document, path)
    if isinstance(parent, dict) and name not in parent:
        parent[name] = by
        return
    key = _existing(parent, name, path)
    if not _is_number(parent[key]):
        raise BadRequestError(f"The patch path '{_text(path)}' is not a number, so it cannot be incremented.")
    parent[key] = double(float(parent[key]) + float(by))


def _parent(document: Json, path: tuple[str, ...]) -> tuple[Json, str]:
    for depth, name in enumerate(path[:-1], 1):
        if isinstance(document, list):
            document = document[_index(name, len(document) - 1, path[:depth])]
        elif isinstance(document, dict) and name in document:
            document = document[name]
        else:
            raise _missing(path[:depth])
    if not isinstance(document, dict | list):
        raise _missing(path)
    return document, path[-1]


def _existing(parent: Json, name: str, path: tuple[str, ...]) -> Json:
    if isinstance(parent, list):
        return _index(name, len(parent) - 1, path)
    if name not in parent:
        raise _missing(path)
    return name


def _index(name: str, last: int, path: tuple[str, ...]) -> int:
    is_index = name == "0" or (name.isascii() and name.isdecimal() and not name.startswith("0"))
    if not is_index or len(name) > len(str(last)) or int(name) > last:
        raise BadRequestError(f"The patch path '{_text(path)}' is invalid: no such index in the array.")
    return int(name)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _missing(path: tuple[str, ...]) -> BadRequestError:
    return BadRequestError(f"The patch path '{_text(path)}' does not exist in the item.")


def _text(path: tuple[str, ...]) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
