"""A query made ready to run: documents go in one after the other, results come out."""

from collections.abc import Iterator, Mapping

from cosmos_engine.errors import BadRequestError
from cosmos_engine.query import syntax
from cosmos_engine.query.comparing import SortKey, identity, sort_key
from cosmos_engine.query.compiling import Budget, Compiled, Row, Scope, compiled, projection
from cosmos_engine.query.functions import AGGREGATES
from cosmos_engine.query.indexing import check_order
from cosmos_engine.query.syntax import Alias, Expression, Member, Query, Source
from cosmos_engine.values import UNDEFINED, Json


class Plan:
    """A query with the values of its parameters.

    Attributes:
        streams: whether each document has its results at once, so that a page needs no more than its own documents.
        top: the most results of a query that streams.
    """

    def __init__(
        self, query: Query, parameters: Mapping[str, Json], indexing: Json, outer: Scope | None = None
    ) -> None:
        """Compile the query; within another one, what it ranges over is a path of the outer row.

        Raises:
            BadRequestError: it is wrong, or the container lacks the composite index that it needs.
        """
        self.constant = query.source is None
        budget = Budget()
        aliases, self._from = self._source(query.source, parameters, outer)
        self._joins = []
        for name, path in query.joins:
            scope = Scope(aliases, parameters)
            scope.budget = outer.budget if outer else budget
            self._joins.append(compiled(path, scope))
            aliases = (*aliases, name)
        self._scope = Scope(aliases, parameters)
        self._budget = self._scope.budget = outer.budget if outer else budget
        self._where = compiled(query.where, self._scope) if query.where else None
        self._order = [(compiled(path, self._scope), descending) for path, descending in query.order]
        if query.order and not self._is_whole(query.source):
            raise BadRequestError("In a query, ORDER BY with FROM a part of the item is not supported by this engine.")
        self._keeps_undefined = check_order(query.order, indexing)
        self._distinct = query.select.distinct
        self._group = [compiled(expression, self._scope) for expression in query.group]
        self._scope.grouped = {expression: place for place, expression in enumerate(query.group)}
        self._aggregates: list[tuple[str, Compiled]] = []
        self._project = self._projection(query.select)
        self.top = _amount(query.select.top, self._scope)
        self._offset = _amount(query.offset, self._scope) or 0
        self._limit = _amount(query.limit, self._scope)
        whole = self._order or self._aggregates or self._group or self._joins or self._distinct or query.limit
        self.streams = not (whole or self.constant)
        self._begin()

    def _begin(self) -> None:
        self._sorted: list[tuple[list[SortKey], Json]] = []
        self._groups: dict[str, tuple[list[Json], list[list[Json]]]] = {}
        if self._aggregates and not self._group:
            self._group_of([])

    def nested(self, outer: Row) -> list[Json]:
        """All results for one row of the query around this one."""
        self._begin()
        self._add(self._rows(outer))
        return self.finish()

    def results(self, document: Json) -> Iterator[Json]:
        """The results of one document, for a query that streams."""
        self._budget.renew()
        for row in self._selected(self._rows((document,))):
            if (result := self._project(row)) is not UNDEFINED:
                yield result

    def add(self, document: Json) -> None:
        """Take a document in, for a query that does not stream."""
        self._budget.renew()
        self._add(self._rows((document,)))

    def _add(self, rows: list[Row]) -> None:
        for row in self._selected(rows):
            if self._aggregates or self._group:
                lists = self._group_of([value(row) for value in self._group])
                for (_, argument), values in zip(self._aggregates, lists, strict=True):
                    values.append(argument(row))
                continue
            if (result := self._project(row)) is UNDEFINED:
                continue
            order = [path(row) for path, _ in self._order]
            if self._keeps_undefined or UNDEFINED not in order:
                self._sorted.append(([sort_key(value) for value in order], result))

    def finish(self) -> list[Json]:
        """All results, after the last document was added."""
        if self._aggregates or self._group:
            grouped = [self._project(self._summed(*group)) for group in self._groups.values()]
            return self._cut([result for result in grouped if result is not UNDEFINED])
        for place, (_, descending) in reversed(list(enumerate(self._order))):
            self._sorted.sort(key=lambda keyed: keyed[0][place], reverse=descending)
        results = [result for _, result in self._sorted]
        if self._distinct:
            results = list({identity(result): result for result in results}.values())
        return self._cut(results)

    def _group_of(self, values: list[Json]) -> list[list[Json]]:
        """The lists that the aggregate functions of a group get."""
        key = identity([[value] if value is not UNDEFINED else [] for value in values])
        return self._groups.setdefault(key, (values, [[] for _ in self._aggregates]))[1]

    def _summed(self, values: list[Json], lists: list[list[Json]]) -> Row:
        columns = zip(self._aggregates, lists, strict=True)
        return (*values, *(AGGREGATES[name](column) for (name, _), column in columns))

    def _cut(self, results: list[Json]) -> list[Json]:
        stop = None if self._limit is None else self._offset + self._limit
        return results[self._offset : stop][: self.top]

    def _source(
        self, source: Source | None, parameters: Mapping[str, Json], outer: Scope | None
    ) -> tuple[tuple[str, ...], Compiled | None]:
        """The names in a row, and what is added to a row of the query around this one, or of the item alone."""
        if source is None:
            return (outer.aliases if outer else (), None)
        if outer is None and self._is_whole(source):
            return (source.alias,), None
        around = outer or Scope((_root(source.path),), parameters)
        path = compiled(source.path, around)
        aliases = (*(outer.aliases if outer else ("",)), source.alias)
        if source.elements:
            return aliases, lambda row: _elements(path(row))
        return aliases, lambda row: [] if (value := path(row)) is UNDEFINED else [value]

    def _is_whole(self, source: Source | None) -> bool:
        return source is not None and isinstance(source.path, Alias) and not source.elements

    def _rows(self, outer: Row) -> list[Row]:
        return [outer] if self._from is None else [(*outer, value) for value in self._from(outer)]

    def _selected(self, rows: list[Row]) -> Iterator[Row]:
        self._budget.spend(len(rows))
        for path in self._joins:
            joined: list[Row] = []
            for row in rows:
                elements = _elements(path(row))
                self._budget.spend(len(elements))
                joined += [(*row, element) for element in elements]
            rows = joined
        for row in rows:
            if self._where is None or self._where(row) is True:
                yield row

    def _projection(self, select: syntax.Select) -> Compiled:
        if not select.columns and select.value is None:
            return lambda row: row[-1]  # there is no JOIN, so that the last one is what FROM names
        expressions = [select.value] if select.value else [expression for _, expression in select.columns]
        if self._group or any(syntax.has_call(expression, AGGREGATES) for expression in expressions):
            self._scope.aggregates = self._aggregates
        try:
            if select.value:
                return compiled(select.value, self._scope)
            return projection(select.columns, self._scope)
        finally:
            self._scope.aggregates = None


def _root(path: Expression) -> str:
    while isinstance(path, Member):
        path = path.of
    return path.name if isinstance(path, Alias) else ""


def _elements(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _amount(expression: Expression | None, scope: Scope) -> int | None:
    if expression is None:
        return None
    amount = compiled(expression, scope)(())
    if isinstance(amount, bool) or not isinstance(amount, int) or amount < 0:
        raise BadRequestError("TOP, OFFSET and LIMIT need a non-negative integer.")
    return amount
