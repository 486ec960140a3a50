"""Checks ORDER BY against the indexing policy, so that a sort that fails in the service fails on a laptop too.

Filters need nothing: without an index the service scans.
https://learn.microsoft.com/azure/cosmos-db/index-policy
"""

from cosmos_engine.errors import BadRequestError
from cosmos_engine.query import syntax
from cosmos_engine.query.syntax import Expression
from cosmos_engine.values import Json

NOT_INDEXED = -1


def check_order(order: tuple[tuple[Expression, bool], ...], policy: Json) -> bool:
    """Whether items that lack the property sorted by are in the result: only where its index was asked for by name.

    https://learn.microsoft.com/azure/cosmos-db/nosql/query/order-by#remarks

    Raises:
        BadRequestError: the property is not indexed, or there is no composite index for several.
    """
    if len(order) > 1:
        _check_composite([(_path(expression), descending) for expression, descending in order], policy)
        return True
    for expression, _ in order:
        path = _path(expression)
        included, excluded = (_closest(path, policy.get(kind, [])) for kind in ("includedPaths", "excludedPaths"))
        if included <= excluded or policy.get("indexingMode", "consistent").lower() == "none":
            raise BadRequestError("The index path corresponding to the specified order-by item is excluded.")
        return included > len(path)
    return True


def _check_composite(wanted: list[tuple[str, bool]], policy: Json) -> None:
    inverted = [(path, not descending) for path, descending in wanted]
    for composite in policy.get("compositeIndexes", []):
        parts = [(_plain(part["path"]), part.get("order", "ascending").lower() == "descending") for part in composite]
        if parts in (wanted, inverted):
            return
    raise BadRequestError(
        "The order by query does not have a corresponding composite index that it can be served from."
    )


def _closest(path: str, patterns: Json) -> int:
    """How closely the closest pattern fits: the length of what they share, and one more if it means this very value."""
    closest = NOT_INDEXED
    for entry in patterns:
        pattern = _plain(entry["path"])
        if pattern == f"{path}/?":
            closest = max(closest, len(path) + 1)
        elif pattern.endswith("/*") and f"{path}/".startswith(pattern[:-1]):
            closest = max(closest, len(pattern) - 2)
    return closest


def _plain(path: str) -> str:
    return path.replace('"', "")


def _path(expression: Expression) -> str:
    match expression:
        case syntax.Member(of, key):
            return f"{_path(of)}/{key if isinstance(key, str) else '[]'}"
        case _:
            return ""
