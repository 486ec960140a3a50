"""Azure SQL with its moods: deadlocks, failovers, lost connections, and commits whose outcome nobody learns."""

import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from infra.sql.migrate import migrate
from shared.frame.sql.sqlite import BEGIN, sqlite_cursor
from shared.frame.write_side.aggregate_streams import AggregateStreams
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.unit_of_work import LostRace
from shared.ordering.tables import LOG as ORDERS
from tests.simulation.decisions import decided_on_what_was
from tests.simulation.scheduler import Crash, Scheduler
from tests.support.containers import OneGeneration
from tests.support.wiring import Wiring, contexts

NUMBERS = {
    "deadlock": 1205,
    "failover": 40613,
    "lost connection before commit": 10054,
    "lost connection after commit": 10054,
    "failover while reading": 40613,
}

BEFORE_COMMIT = ("deadlock", "failover", "lost connection before commit", "crash before commit", "lost race")

_EVERY_ORDER = AggregateStreams(ORDERS)


@cache
def logs() -> Mapping[str, EventLog[Any]]:
    """Give the event log of each context, by its name, as the contexts declare themselves."""
    nowhere = defaultdict[str, sa.Engine](partial(sa.create_engine, "sqlite://"))
    wiring = Wiring(nowhere, partial(OneGeneration, containers={}), committed=lambda _: lambda: None)
    return {name: context.log for name, context in contexts(wiring).items()}


def empty_database(schema: str) -> sa.Engine:
    """Give the process's one database of a schema, in memory and as the migrations leave it."""
    engine = _engine(schema)
    with engine.connect() as connection:
        sqlite: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # it is SQLite's
        sqlite.deserialize(_migrated()[schema], name=schema)
    return engine


def unpublished(engine: sa.Engine, log: EventLog[Any]) -> int:
    """Count the events that are still in a context's outbox."""
    statement = sa.select(sa.func.count()).select_from(log.table).where(log.table.c.published_at.is_(None))
    with engine.connect() as connection:
        return connection.execute(statement).scalar_one()


@cache
def _engine(schema: str) -> sa.Engine:
    """Connect once: transactions never overlap here, and statements that were compiled serve all shops."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)

    @sa.event.listens_for(engine, "connect")
    def _attach(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute(f"ATTACH DATABASE ':memory:' AS {schema}")
        connection.execute("PRAGMA foreign_keys = ON")

    return engine


@cache
def _migrated() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="simulation-") as folder:
        migrate(f"sqlite:///{folder}/shop.db")
        return {schema: _content(Path(folder, f"shop.{schema}.db")) for schema in logs()}


def _content(file: Path) -> bytes:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # memory has no other file to write ahead to
        return connection.serialize()


class FaultyEngine:
    """An engine whose transactions fail as those of Azure SQL do. Others run before and after one, never within.

    Attributes:
        wrong: what was committed that rests on something that was no longer so.
    """

    def __init__(self, engine: sa.Engine, scheduler: Scheduler, log: EventLog[Any]) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._log = log
        self.wrong: list[str] = []

    @property
    def dialect(self) -> sa.Dialect:
        """SQLite's."""
        return self._engine.dialect

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Run a transaction; it may fail before its commit, or after it."""
        self._scheduler.pause()
        wrong: list[str] = []
        with self._engine.begin() as connection:
            before = _EVERY_ORDER.newest(connection) if self._log is ORDERS else 0
            yield connection
            if self._log is ORDERS:
                wrong += decided_on_what_was(connection, before)
            self._raise(self._scheduler.fault(*BEFORE_COMMIT))
            if self._scheduler.fault("late commit"):
                _commit_late(connection, self._log)
        self.wrong += wrong
        self._scheduler.pause()
        self._raise(self._scheduler.fault("lost connection after commit", "crash after commit"))

    def connect(self) -> sa.Connection:
        """Connect for reading; it may fail at the start, which is as bad as anywhere in it."""
        self.begin_reading()
        return self._engine.connect()

    def begin_reading(self) -> None:
        """Let others act first; then reading may fail."""
        self._scheduler.pause()
        self._raise(self._scheduler.fault("failover while reading", "crash while reading"))

    def raw_connection(self) -> sa.PoolProxiedConnection:
        """Connect beneath SQLAlchemy, as units of work do; what they read and commit may fail."""
        return cast("sa.PoolProxiedConnection", _FaultyConnection(self))

    def pooled(self) -> sa.PoolProxiedConnection:
        """Connect beneath SQLAlchemy, without faults."""
        return self._engine.raw_connection()

    def execution_options(self, **_options: Any) -> "FaultyEngine":
        """Give the engine for reading, which needs no options here."""
        return self

    @staticmethod
    def _raise(kind: str | None) -> None:
        match kind:
            case None:
                return
            case "lost race":
                raise LostRace
            case "crash before commit" | "crash after commit" | "crash while reading":
                raise Crash
            case _:
                raise sa.exc.OperationalError("", {}, Exception(f"[HY000] something ({NUMBERS[kind]}) (SQLExecute)"))


class _FaultyConnection:
    """A connection beneath SQLAlchemy, with the faults of its engine."""

    def __init__(self, engine: FaultyEngine) -> None:
        self.info: dict[str, Any] = {}
        self._engine = engine
        self._reads = engine.pooled()
        self._transaction = ExitStack()
        self._writes: sqlite3.Cursor | None = None

    @property
    def driver_connection(self) -> "_FaultyConnection":
        """Give what begins a transaction."""
        return self

    def execute(self, text: str) -> None:
        """Begin a transaction."""
        assert text == BEGIN
        self._writes = sqlite_cursor(self._transaction.enter_context(self._engine.begin()))

    def cursor(self) -> sqlite3.Cursor:
        """Give the cursor of the transaction that has begun, or one for a read, which may fail."""
        if self._writes is None:
            self._engine.begin_reading()
        return self._writes or cast("sqlite3.Cursor", self._reads.cursor())

    def commit(self) -> None:
        """Commit; it may fail before and after."""
        self._writes = None
        self._transaction.close()

    def rollback(self) -> None:
        """Undo what is not committed, because of the exception that is being handled."""
        self._writes = None
        self._transaction.__exit__(*sys.exc_info())

    def close(self) -> None:
        """Give the connection back."""
        self._reads.close()


def _commit_late(connection: sa.Connection, log: EventLog[Any]) -> None:
    """Give the newest event an earlier sequence, as if its transaction had begun before its neighbours'.

    Nobody has seen the sequence yet: one that a relay has claimed never changes.
    """
    table = log.table
    newest = connection.execute(sa.select(table).order_by(table.c.sequence.desc()).limit(1)).one_or_none()
    if newest is None or newest.claimed_until or newest.published_at or newest.aggregate_version > 1:
        return  # a later version can only commit after the one before it
    taken = set(connection.execute(sa.select(table.c.sequence)).scalars())
    earlier = next(number for number in range(newest.sequence - 3, -(10**6), -1) if number not in taken)
    connection.execute(sa.update(table).where(table.c.sequence == newest.sequence).values(sequence=earlier))
