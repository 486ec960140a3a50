"""From the text of a query to its syntax tree.

sqlglot cuts the text into tokens. The grammar is our own, because Cosmos SQL is not a dialect of SQL: `SELECT VALUE`,
`JOIN x IN c.items`, conditions that begin with FROM, and strict rules about names and aliases, where a lenient parser
would accept queries on a laptop that the service refuses.
https://learn.microsoft.com/azure/cosmos-db/nosql/query/
"""

from functools import lru_cache

from cosmos_engine.errors import BadRequestError
from cosmos_engine.query.expressions import ExpressionParser
from cosmos_engine.query.syntax import Alias, Expression, Member, Query, Select, Source

STATEMENTS = 1024
"""So many parsed statements are kept."""


@lru_cache(maxsize=STATEMENTS)
def parse(text: str) -> Query:
    """The tree of a SELECT statement.

    Raises:
        BadRequestError: it is wrong, or uses a feature that this engine lacks.
    """
    return _Parser(text).statement()


@lru_cache(maxsize=STATEMENTS)
def parse_condition(text: str) -> Query:
    """The tree of a patch's filter predicate, `from c where ...`.

    Raises:
        BadRequestError: it is wrong, or more than a condition on one item.
    """
    return _Parser(text).condition()


class _Parser(ExpressionParser):
    def statement(self) -> Query:
        query = self.query()
        self.end()
        return query

    def query(self) -> Query:
        """A SELECT statement, or one within another."""
        self.expect("SELECT")
        select = self._select()
        source = self._source() if self.accept("FROM") else None
        joins = self._joins(source)
        where = self.expression() if self.accept("WHERE") else None
        group = self._group()
        order = self._order()
        offset = limit = None
        if self.accept("OFFSET"):
            offset = self.amount()
            self.expect("LIMIT")
            limit = self.amount()
        is_everything = not select.columns and select.value is None
        if is_everything and (source is None or joins or group):
            raise BadRequestError("'SELECT *' is only valid with a single input set, and not with GROUP BY.")
        if group and order:
            raise BadRequestError("'ORDER BY' is not supported in the presence of GROUP BY.")
        return Query(select, source, joins, where, group, order, offset, limit)

    def condition(self) -> Query:
        self.expect("FROM")
        source = self._source()
        if not isinstance(source.path, Alias) or source.elements:
            self.unsupported("a condition on anything but the item")
        self.expect("WHERE")
        where = self.expression()
        self.end()
        return Query(Select(), source, where=where)

    def _select(self) -> Select:
        distinct = self.accept("DISTINCT")
        top = self.amount() if self.accept("TOP") else None
        if self.accept("*"):
            return Select(distinct=distinct, top=top)
        if self.accept("VALUE"):
            return Select(value=self.expression(), distinct=distinct, top=top)
        columns: dict[str, Expression] = {}
        unnamed = 0
        while True:
            expression = self.expression()
            name = self.name() if self.accept("AS") else _own_name(expression)
            if name is None:
                unnamed += 1
                name = f"${unnamed}"
            if name in columns:
                raise BadRequestError(f"'{name}' is specified more than once in the select list: give it an alias.")
            columns[name] = expression
            if not self.accept(","):
                return Select(columns=tuple(columns.items()), distinct=distinct, top=top)

    def _source(self) -> Source:
        if self.sees("("):
            self.unsupported("a subquery in FROM")
        path = self.path()
        if isinstance(path, Alias) and self.accept("IN"):
            return Source(path.name, self.path(), elements=True)
        name = self.name() if self.accept("AS") or self.is_name() else _own_name(path)
        if name is None:
            raise BadRequestError("FROM an element of an array needs an alias: FROM c.tags[0] AS t.")
        return Source(name, path)

    def _joins(self, source: Source | None) -> tuple[tuple[str, Expression], ...]:
        joins: dict[str, Expression] = {}
        while self.accept("JOIN"):
            if self.accept("("):
                path = self.subquery("ARRAY")
                self.accept("AS")
                name = self.name()
            else:
                name = self.name()
                self.expect("IN")
                if self.sees("("):
                    self.unsupported("JOIN ... IN a subquery: write JOIN (SELECT VALUE ...) AS name. It")
                path = self.path()
            if name in joins or (source and name == source.alias):
                raise BadRequestError(f"The input alias '{name}' is specified more than once in the FROM clause.")
            joins[name] = path
        return tuple(joins.items())

    def _group(self) -> tuple[Expression, ...]:
        if not self.accept("GROUP"):
            return ()
        self.expect("BY")
        group = [self.expression()]
        while self.accept(","):
            group.append(self.expression())
        return tuple(group)

    def _order(self) -> tuple[tuple[Expression, bool], ...]:
        order = []
        if self.accept("ORDER"):
            self.expect("BY")
            while True:
                path = self.path()
                if isinstance(path, Alias):
                    raise BadRequestError("ORDER BY needs a property of an item.")
                order.append((path, self.accept("DESC")))
                if not order[-1][1]:
                    self.accept("ASC")
                if not self.accept(","):
                    break
        return tuple(order)


def _own_name(expression: Expression) -> str | None:
    match expression:
        case Alias(name):
            return name
        case Member(_, str(key)):
            return key
        case _:
            return None
