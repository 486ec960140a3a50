"""Statements compiled once for SQLite's own driver: executing them through SQLAlchemy costs several times as much."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData

DIALECT = SQLiteDialect_pysqlite(paramstyle="qmark")

_KEPT_IDS = 1_024
"""Ids of a column that are cached by their text."""

type _Convert = Callable[[Any], Any]


class Prepared:
    """A statement's text, and the conversions of a row's values for the driver.

    Attributes:
        text: for the driver, with a question mark for each parameter.
        parameters: the parameters' names, in order.
    """

    def __init__(self, statement: sa.ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=DIALECT)
        self.text = str(compiled)
        self.parameters: Sequence[str] = tuple(compiled.positiontup)
        self._conversions = [
            (name, compiled.binds[name].type.dialect_impl(DIALECT).bind_processor(DIALECT)) for name in self.parameters
        ]

    def bound(self, row: Mapping[str, Any]) -> Sequence[Any]:
        """Give a row's values as the driver takes them."""
        return [row[name] if convert is None else convert(row[name]) for name, convert in self._conversions]


class Question(Prepared):
    """A SELECT, and the conversions of the driver's values into rows."""

    def __init__(self, statement: sa.Select[Any]) -> None:
        super().__init__(statement)
        columns = list(statement.selected_columns)
        self._names = SimpleResultMetaData([str(column.key) for column in columns])
        self._results: Sequence[_Convert | None] = [_result(column.type) for column in columns]

    def rows(self, cursor: sqlite3.Cursor, parameters: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
        """Ask it, and give all rows.

        Raises:
            sqlite3.Error: the driver's own error.
        """
        found = cursor.execute(self.text, self.bound(parameters)).fetchall()
        result: sa.Result[Any] = IteratorResult(self._names, map(self._converted, found))
        return result.all()

    def _converted(self, row: Sequence[Any]) -> tuple[Any, ...]:
        pairs = zip(row, self._results, strict=True)
        return tuple([value if convert is None else convert(value) for value, convert in pairs])


def _result(type_: sa.types.TypeEngine[Any]) -> _Convert | None:
    convert = type_.dialect_impl(DIALECT).result_processor(DIALECT, None)
    if convert is not None and isinstance(type_, sa.Uuid):
        return lru_cache(_KEPT_IDS)(convert)  # each line of an order has its ids, and each order the same products'
    return convert


@cache
def question(statement: sa.Select[Any]) -> Question:
    """Compile one of the product's SELECTs at its first use."""
    return Question(statement)


def sqlite_cursor(connection: sa.Connection) -> sqlite3.Cursor:
    """Give the driver's own cursor."""
    return cast("sqlite3.Cursor", connection.connection.cursor())
