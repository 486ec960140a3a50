"""A query made ready to run: documents go in one after the other, results come out."""

from collections.abc import Iterator, Mapping

from infra.local.cosmos.errors import BadRequestError
from infra.local.cosmos.query import syntax
from infra.local.cosmos.query.comparing import SortKey, identity, sort_key
from infra.local.cosmos.query.compiling import Compiled, Row, Scope, compiled, projection
from infra.local.cosmos.query.functions import AGGREGATES
from infra.local.cosmos.query.indexing import check_order
from infra.local.cosmos.query.syntax import Expression, Query
from infra.local.cosmos.values import UNDEFINED, Json


class Plan:
    """A query with the values of its parameters.

    Attributes:
        streams: whether each document has its results at once, so that a page needs no more than its own documents.
        top: the most results of a query that streams.
    """

    def __init__(self, query: Query, parameters: Mapping[str, Json], indexing: Json) -> None:
        """Compile the query.

        Raises:
            BadRequestError: it is wrong, or the container lacks the composite index that it needs.
        """
        self._scope = Scope((query.alias, *(name for name, _ in query.joins)), parameters)
        self._joins = [compiled(path, self._scope) for _, path in query.joins]
        self._where = compiled(query.where, self._scope) if query.where else None
        self._order = [(compiled(path, self._scope), descending) for path, descending in query.order]
        self._keeps_undefined = check_order(query.order, indexing)
        self._distinct = query.select.distinct
        self._aggregates: list[tuple[str, Compiled]] = []
        self._project = self._projection(query.select)
        self.top = _amount(query.select.top, self._scope)
        self._offset = _amount(query.offset, self._scope) or 0
        self._limit = _amount(query.limit, self._scope)
        self._sorted: list[tuple[list[SortKey], Json]] = []
        self._aggregated: list[list[Json]] = [[] for _ in self._aggregates]
        whole = self._order or self._aggregates or self._joins or self._distinct or query.limit
        self.streams = not whole

    def results(self, document: Json) -> Iterator[Json]:
        """The results of one document, for a query that streams."""
        for row in self._selected(document):
            if (result := self._project(row)) is not UNDEFINED:
                yield result

    def add(self, document: Json) -> None:
        """Take a document in, for a query that does not stream."""
        for row in self._selected(document):
            for (_, argument), values in zip(self._aggregates, self._aggregated, strict=True):
                values.append(argument(row))
            if self._aggregates or (result := self._project(row)) is UNDEFINED:
                continue
            order = [path(row) for path, _ in self._order]
            if self._keeps_undefined or UNDEFINED not in order:
                self._sorted.append(([sort_key(value) for value in order], result))

    def finish(self) -> list[Json]:
        """All results, after the last document was added."""
        if self._aggregates:
            columns = zip(self._aggregates, self._aggregated, strict=True)
            result = self._project(tuple(AGGREGATES[name](values) for (name, _), values in columns))
            return self._cut([] if result is UNDEFINED else [result])
        for place, (_, descending) in reversed(list(enumerate(self._order))):
            self._sorted.sort(key=lambda keyed: keyed[0][place], reverse=descending)
        results = [result for _, result in self._sorted]
        if self._distinct:
            results = list({identity(result): result for result in results}.values())
        return self._cut(results)

    def _cut(self, results: list[Json]) -> list[Json]:
        stop = None if self._limit is None else self._offset + self._limit
        return results[self._offset : stop][: self.top]

    def _selected(self, document: Json) -> Iterator[Row]:
        rows: list[Row] = [(document,)]
        for path in self._joins:
            rows = [(*row, element) for row in rows for element in _elements(path(row))]
        for row in rows:
            if self._where is None or self._where(row) is True:
                yield row

    def _projection(self, select: syntax.Select) -> Compiled:
        if not select.columns and select.value is None:
            return lambda row: row[0]
        expressions = [select.value] if select.value else [expression for _, expression in select.columns]
        if any(syntax.has_call(expression, AGGREGATES) for expression in expressions):
            self._scope.aggregates = self._aggregates
        try:
            if select.value:
                return compiled(select.value, self._scope)
            return projection(select.columns, self._scope)
        finally:
            self._scope.aggregates = None


def _elements(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _amount(expression: Expression | None, scope: Scope) -> int | None:
    if expression is None:
        return None
    amount = compiled(expression, scope)(())
    if isinstance(amount, bool) or not isinstance(amount, int) or amount < 0:
        raise BadRequestError("TOP, OFFSET and LIMIT need a non-negative integer.")
    return amount
