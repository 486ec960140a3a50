"""Azure SQL with its moods: deadlocks, failovers, lost connections, and commits whose outcome nobody learns."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from shared.messaging.event_log import EventLog
from shared.platform.write_side import LostRace
from tests.simulation.scheduler import Crash, Scheduler

NUMBERS = {"deadlock": 1205, "failover": 40613, "lost connection": 10054}


class FaultyEngine:
    """An engine whose transactions fail as those of Azure SQL do. Others run before and after one, never within."""

    def __init__(self, engine: sa.Engine, scheduler: Scheduler, log: EventLog[Any]) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._log = log.table

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Run a transaction; it may fail before its commit, or after it."""
        self._scheduler.pause()
        with self._engine.begin() as connection:
            before = self._newest(connection)
            yield connection
            self._raise(self._scheduler.fault("deadlock", "failover", "crash before commit", "lost race"))
            if self._scheduler.fault("late commit"):
                self._commit_late(connection, before)
        self._scheduler.pause()
        self._raise(self._scheduler.fault("lost connection", "crash after commit"))

    def connect(self) -> sa.Connection:
        """Connect for reading, which does not fail here."""
        return self._engine.connect()

    def execution_options(self, **options: Any) -> sa.Engine:
        """Give the engine for reading."""
        return self._engine.execution_options(**options)

    def _newest(self, connection: sa.Connection) -> int | None:
        return connection.execute(sa.select(sa.func.max(self._log.c.sequence))).scalar()

    def _commit_late(self, connection: sa.Connection, before: int | None) -> None:
        """Give the transaction's event an earlier sequence, as if it had begun before its neighbours.

        Nobody has seen the sequence yet: one that a relay has claimed never changes.
        """
        newest = self._newest(connection)
        if newest is None or newest == before:
            return
        taken = set(connection.execute(sa.select(self._log.c.sequence)).scalars())
        earlier = next(number for number in range(newest - 3, -(10**6), -1) if number not in taken)
        row = connection.execute(sa.select(self._log).where(self._log.c.sequence == newest)).one()
        if row.aggregate_version == 1:  # a later version can only commit after the one before it
            connection.execute(sa.update(self._log).where(self._log.c.sequence == newest).values(sequence=earlier))

    @staticmethod
    def _raise(kind: str | None) -> None:
        match kind:
            case None:
                return
            case "lost race":
                raise LostRace
            case "crash before commit" | "crash after commit":
                raise Crash
            case _:
                raise sa.exc.OperationalError("", {}, Exception(f"[HY000] something ({NUMBERS[kind]}) (SQLExecute)"))
