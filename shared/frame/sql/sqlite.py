"""SQLite through its own driver: statements compiled once, and one connection for a unit of work.

Executing through SQLAlchemy costs several times as much. Its pool gives the connections all the same.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData

from shared.frame.sql.columns import UtcDateTime

DIALECT = SQLiteDialect_pysqlite(paramstyle="qmark")

BEGIN = "BEGIN IMMEDIATE"

BUSY_TIMEOUT = 2.5
"""Seconds that a transaction waits for its turn to write, first among this process's and then for other processes; then
the caller tries again. Both together are not more than a unit of work reckons with (CONNECTING)."""

_KEPT_IDS = 1_024
"""Ids of a column that are cached by their text."""

_KEPT_TIMES = 16
"""Times of a column that are cached as text: a command has one time for all rows that it writes."""

type GivesRows = sa.Select[Any] | sa.Update | sa.TextualSelect
"""A statement that gives rows; an UPDATE gives those that it returns."""

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
        self._conversions = _conversions([_bound(compiled.binds[name].type) for name in self.parameters])
        self._own = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}

    def bound(self, row: Mapping[str, Any]) -> Sequence[Any]:
        """Give a row's values as the driver takes them; the statement may have values of its own."""
        if self._own:
            row = {**self._own, **row}
        values = [row[name] for name in self.parameters]
        for place, convert in self._conversions:
            values[place] = convert(values[place])
        return values


class Question(Prepared):
    """A statement that gives rows, and the conversions of the driver's values into them."""

    def __init__(self, statement: GivesRows) -> None:
        super().__init__(statement)
        self.statement = statement
        columns = list(statement.exported_columns)
        self._names = SimpleResultMetaData([str(column.key) for column in columns])
        self._results = _conversions([_result(column.type) for column in columns])

    def rows(self, cursor: sqlite3.Cursor, parameters: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
        """Ask it, and give all rows.

        Raises:
            sqlalchemy.exc.OperationalError: SQLite failed.
        """
        try:
            found = cursor.execute(self.text, self.bound(parameters)).fetchall()
        except sqlite3.Error as error:
            raise operational(self.text, error) from error
        result: sa.Result[Any] = IteratorResult(self._names, map(self._converted, found))
        return result.all()

    def _converted(self, row: Sequence[Any]) -> tuple[Any, ...]:
        values = list(row)
        for place, convert in self._results:
            values[place] = convert(values[place])
        return tuple(values)


def _conversions(converts: Sequence[_Convert | None]) -> Sequence[tuple[int, _Convert]]:
    """Give the conversions that there are, with the places of their values: most values need none."""
    return [(place, convert) for place, convert in enumerate(converts) if convert is not None]


def _bound(type_: sa.types.TypeEngine[Any]) -> _Convert | None:
    convert = type_.dialect_impl(DIALECT).bind_processor(DIALECT)
    return lru_cache(_KEPT_TIMES)(convert) if convert is not None and isinstance(type_, UtcDateTime) else convert


def _result(type_: sa.types.TypeEngine[Any]) -> _Convert | None:
    convert = type_.dialect_impl(DIALECT).result_processor(DIALECT, None)
    if convert is not None and isinstance(type_, sa.Uuid):
        return lru_cache(_KEPT_IDS)(convert)  # each line of an order has its ids, and each order the same products'
    return convert


@cache
def question(statement: GivesRows) -> Question:
    """Compile one of the product's statements at its first use."""
    return Question(statement)


def sqlite_cursor(connection: sa.Connection) -> sqlite3.Cursor:
    """Give the driver's own cursor."""
    return cast("sqlite3.Cursor", connection.connection.cursor())


def operational(statement: str, error: sqlite3.Error) -> sa.exc.OperationalError:
    """Wrap the driver's error in SQLAlchemy's, as SQLAlchemy does."""
    return sa.exc.OperationalError(statement, None, error, hide_parameters=True)


class Session:
    """One connection of the pool for the reads and the transaction of one unit of work, taken when it is needed."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.PoolProxiedConnection | None = None

    def cursor(self) -> sqlite3.Cursor:
        """Give a cursor; what it reads outside of a transaction is read as it is at that moment.

        Raises:
            sqlalchemy.exc.OperationalError: SQLite does not open the file.
            sqlalchemy.exc.TimeoutError: the pool had no connection in time.
        """
        return cast("sqlite3.Cursor", self._connected().cursor())

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Cursor]:
        """Commit what is done within or, after an error, none of it.

        Raises:
            sqlalchemy.exc.OperationalError: as `cursor`; or it did not begin, or was not committed.
        """
        connection = self._connected()
        try:
            begin_writing(connection)
            yield cast("sqlite3.Cursor", connection.cursor())
            try:
                connection.commit()
            except sqlite3.Error as error:
                raise operational("COMMIT", error) from error
        except BaseException:
            with suppress(sqlite3.Error):  # the first error is the one to tell; the pool rolls back once more
                connection.rollback()
            raise
        finally:
            end_turn(connection.info)

    def _connected(self) -> sa.PoolProxiedConnection:
        if self._connection is None:
            try:
                self._connection = self._engine.raw_connection()
            except sqlite3.Error as error:
                raise operational("", error) from error
        return self._connection

    def close(self) -> None:
        """Give the connection back; the next use takes another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def begin_writing(connection: sa.PoolProxiedConnection) -> None:
    """Begin a transaction that writes, when it is this connection's turn.

    SQLite lets writers wait by polling, which starves some of them for seconds; a lock lets them in one by one.

    Raises:
        sqlalchemy.exc.OperationalError: others wrote for too long.
    """
    turn = connection.info.get("turn")
    if turn is not None and not connection.info.get("has_turn"):
        connection.info["has_turn"] = turn.acquire(timeout=BUSY_TIMEOUT)
    driver = cast("sqlite3.Connection", connection.driver_connection)
    try:
        driver.execute(BEGIN)
    except sqlite3.Error as error:
        raise operational(BEGIN, error) from error


def end_turn(info: dict[Any, Any]) -> None:
    """Let the next connection write, if this one, which has this information, had its turn."""
    if info.pop("has_turn", False):
        info["turn"].release()
