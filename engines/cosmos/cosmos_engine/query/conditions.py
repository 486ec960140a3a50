"""The filter predicate of a patch."""

from collections.abc import Callable

from cosmos_engine.query.compiling import Scope, compiled
from cosmos_engine.query.parse import parse_condition
from cosmos_engine.values import Json


def condition(text: str) -> Callable[[Json], bool]:
    """Whether `from c where ...` is true of a document; undefined is not true.

    Raises:
        BadRequestError: it is wrong, or uses a feature that this engine lacks.
    """
    query = parse_condition(text)
    assert query.where is not None  # noqa: S101 -- a condition has both; the type of a query cannot say so
    assert query.source is not None  # noqa: S101
    where = compiled(query.where, Scope((query.source.alias,), {}))
    return lambda document: where((document,)) is True
