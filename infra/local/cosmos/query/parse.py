"""From the text of a query to its syntax tree.

sqlglot cuts the text into tokens. The grammar is our own, because Cosmos SQL is not a dialect of SQL: `SELECT VALUE`,
`JOIN x IN c.items`, conditions that begin with FROM, and strict rules about names and aliases, where a lenient parser
would accept on a laptop what the service refuses.
https://learn.microsoft.com/azure/cosmos-db/nosql/query/
"""

from functools import lru_cache

from infra.local.cosmos.errors import BadRequestError
from infra.local.cosmos.query.expressions import ExpressionParser
from infra.local.cosmos.query.syntax import Alias, Expression, Member, Query, Select

STATEMENTS = 1024
"""So many parsed statements are kept."""


@lru_cache(maxsize=STATEMENTS)
def parse(text: str) -> Query:
    """The tree of a SELECT statement.

    Raises:
        BadRequestError: it is wrong, or uses what this engine does not support.
    """
    return _Parser(text).query()


@lru_cache(maxsize=STATEMENTS)
def parse_condition(text: str) -> Query:
    """The tree of a patch's filter predicate, `from c where ...`.

    Raises:
        BadRequestError: it is wrong, or more than a condition on one item.
    """
    return _Parser(text).condition()


class _Parser(ExpressionParser):
    def query(self) -> Query:
        self.expect("SELECT")
        select = self._select()
        self.expect("FROM")
        alias = self._source()
        joins = self._joins()
        where = self.expression() if self.accept("WHERE") else None
        if self.accept("GROUP"):
            self.unsupported("GROUP BY")
        order = self._order()
        offset = limit = None
        if self.accept("OFFSET"):
            offset = self.amount()
            self.expect("LIMIT")
            limit = self.amount()
        self.end()
        if joins and not select.columns and select.value is None:
            raise BadRequestError("'SELECT *' is only valid with a single input set.")
        return Query(select, alias, joins, where, order, offset, limit)

    def condition(self) -> Query:
        self.expect("FROM")
        alias = self._source()
        self.expect("WHERE")
        where = self.expression()
        self.end()
        return Query(Select(), alias, where=where)

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

    def _source(self) -> str:
        name = self.name()
        if self.sees("IN", ".", "[", "("):
            self.unsupported("FROM with anything but the container")
        if self.accept("AS") or self.is_name():
            name = self.name()
        self.aliases.add(name)
        return name

    def _joins(self) -> tuple[tuple[str, Expression], ...]:
        joins = []
        while self.accept("JOIN"):
            name = self.name()
            self.expect("IN")
            joins.append((name, self.path()))
            if name in self.aliases:
                raise BadRequestError(f"The input alias '{name}' is specified more than once in the FROM clause.")
            self.aliases.add(name)
        return tuple(joins)

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
