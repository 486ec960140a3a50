"""The filter predicate of a patch."""

from collections.abc import Callable

from infra.local.cosmos.query.compiling import Scope, compiled
from infra.local.cosmos.query.parse import parse_condition
from infra.local.cosmos.values import Json


def condition(text: str) -> Callable[[Json], bool]:
    """Whether `from c where ...` is true of a document; undefined is not true.

    Raises:
        BadRequestError: it is wrong, or uses what this engine does not support.
    """
    query = parse_condition(text)
    assert query.where is not None  # noqa: S101 -- a condition has one; the type of a query cannot say so
    where = compiled(query.where, Scope((query.alias,), {}))
    return lambda document: where((document,)) is True
