"""The unit of work: it reads immediately, collects writes, and makes all of them in one transaction at its end.

On Azure SQL each read is one request, and all writes are one request: a batch that begins, writes and commits. Reads
take no locks. A unit of work that relies on rows that it has read declares them with `require`, and the transaction
checks them first: if they have changed, nothing is written, and the command is decided again (ADR 15).
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, Self
from uuid import UUID

import sqlalchemy as sa

from shared.frame.sql.engines import POOL_TIMEOUT, SIGN_IN_TIMEOUT, STATEMENT_TIMEOUT
from shared.frame.sql.errors import OutOfTime
from shared.frame.sql.sqlite import Session, operational, question
from shared.frame.write_side.aggregate_queues import AggregateQueues, Turn
from shared.frame.write_side.writes import Check, Key, Row, Step, Write, written

MISSED = 50_409
"""The number of our own error in a batch: a row did not find the row that it changes or requires."""

TIMEOUTS = 3
"""A request to a silent server lasts this many time-outs: the driver waits one for the answer, and two for the answer
to its ATTENTION. Measured with Microsoft's driver 18.6."""

CONNECTING = POOL_TIMEOUT + SIGN_IN_TIMEOUT
"""Seconds that getting a connection may take or, on SQLite, its turn to write."""

LONGEST_IN_LINE = 60
"""Seconds for which work without a deadline stands in line; each that is before it has a bound of its own."""

LONGEST_TIMEOUT = 3
"""Seconds after which a statement of a request is given up; whole ones, for ODBC counts in them."""

STATEMENT_TIMEOUTS = (STATEMENT_TIMEOUT, LONGEST_TIMEOUT, 1)
"""Those of a unit with a deadline: the first one for which enough is left. No request has so much for the longest, only
work of timers. They are few, for a connection keeps a cursor for each."""


class LostRace(Exception):
    """Another command changed the same aggregate, or data that this one relied on: it must decide again."""


class Planned(NamedTuple):
    """A step of a batch, and whether each of its rows must find a row to change."""

    step: Step
    must_find: bool


class _Gathered(NamedTuple):
    plan: Planned
    rows: list[Row]
    keys: set[Key]
    otherwise: Exception | None

    @property
    def error(self) -> Exception:
        return LostRace() if self.otherwise is None else self.otherwise


def _plan(gathered: Sequence[_Gathered]) -> tuple[Planned, ...]:
    return tuple(step.plan for step in gathered)


class UnitOfWork:
    """The reads and writes of one command or consumed event.

    Attributes:
        on_conflict: the query that is run if the writes conflict with another transaction's.
    """

    def __init__(
        self,
        engine: sa.Engine,
        until: float | None = None,
        on_conflict: tuple[sa.Select[Any], Row] | None = None,
        queues: AggregateQueues | None = None,
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            engine: the context's engine.
            until: when every request must have been answered, by time.monotonic; None: there is no deadline.
            on_conflict: the query to run, in the same request, if the writes conflict with another transaction's.
            queues: the queues of work on the same aggregate.
        """
        self._engine = engine
        self._until = until
        self.on_conflict = on_conflict
        self._queues = queues
        self._turns: list[Turn] = []
        self._gathered: list[_Gathered] = []
        self._found: Sequence[sa.Row[Any]] | None = None
        self._sqlite = Session(engine) if engine.dialect.name == "sqlite" else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._give_back()
        finally:
            for turn in self._turns:
                turn.leave()

    def stand_in_line(self, *aggregate_ids: UUID) -> None:
        """Wait until earlier work of this process on the same aggregates is done.

        Waiting avoids work that would lose the race. Correctness does not depend on it, because the transaction checks
        versions. A unit waits only once, in the order of the ids, so that no two units wait for each other.

        Raises:
            LostRace: the earlier work was not done in time.
            TimeoutError: nor did work without a deadline get its turn; those in front wait for a silent database.
        """
        if self._queues is None or self._turns:
            return
        self._give_back()  # or those who wait could hold the connections that the first in line needs
        for aggregate_id in sorted(set(aggregate_ids)):
            turn = self._queues.stand(aggregate_id, min(LONGEST_IN_LINE, self._left() - CONNECTING))
            if turn is None and self._until is None:
                raise TimeoutError(f"others have worked on {aggregate_id} for {LONGEST_IN_LINE} seconds")
            if turn is None:
                raise LostRace
            self._turns.append(turn)

    def read(self, statement: sa.Select[Any], parameters: Row) -> Sequence[sa.Row[Any]]:
        """Read rows as they are now.

        Raises:
            OutOfTime: there is no time left for it.
        """
        if self._sqlite is None:
            with self._connect() as connection:
                return connection.execute(statement, parameters).all()
        self._require_time(CONNECTING)
        cursor = self._sqlite.cursor()
        self._require_time(TIMEOUTS)
        return question(statement).rows(cursor, parameters)

    def require(self, check: Check, rows: Sequence[Row], otherwise: Exception | None = None) -> None:
        """Let the commit write only if each of these rows is found, such as one that was read.

        Args:
            check: the statement that looks for a row.
            rows: its parameters.
            otherwise: raised by the commit if a row is not found; LostRace by default.
        """
        if rows:
            self._gathered.append(_Gathered(Planned(check, must_find=True), list(rows), set(), otherwise))

    def write(
        self, write: Write, rows: Sequence[Row], *, must_find: bool = False, otherwise: Exception | None = None
    ) -> None:
        """Write rows when the unit is committed.

        Rows of several aggregates of one kind become one step, so that the batch has the same text for any number of
        them. So rows may be written before earlier steps, but only where the order makes no difference: never before a
        check, a write with an error of its own, a write to the same table, or to a table tied by foreign keys.

        Args:
            write: the statement.
            rows: its parameters.
            must_find: whether each row must find the row that it changes.
            otherwise: raised by the commit if a row finds none, or exists already; LostRace by default.

        Raises:
            ValueError: two of the rows change the same one, or a row has a value that the statement does not write.
        """
        if not rows:
            return
        if len(rows[0]) > len(write.types):  # a value that is missing is an error when the row is bound
            left_out = sorted(rows[0].keys() - write.types.keys())
            raise ValueError(f"a write to {write.table} leaves out {', '.join(left_out)}")
        step = _Gathered(Planned(write, must_find), list(rows), write.keys(rows), otherwise)
        for earlier in reversed(self._gathered if otherwise is None else ()):
            if earlier.otherwise is not None:
                break
            if earlier.plan == step.plan and earlier.keys.isdisjoint(step.keys):
                earlier.rows.extend(step.rows)
                earlier.keys.update(step.keys)
                return
            if not write.may_precede(earlier.plan.step):
                break
        self._gathered.append(step)

    @property
    def plan(self) -> tuple[Planned, ...]:
        """The steps that are to be committed."""
        return _plan(self._gathered)

    def commit(self) -> None:
        """Make all collected writes in their order or, after an error, none of them.

        Raises:
            LostRace: another transaction has changed rows that this unit relies on or writes.
            Exception: the error that `write` or `require` was given for this case.
            OutOfTime: there is no time left for it.
        """
        gathered, self._gathered = self._gathered, []
        if not gathered:
            return
        if self._sqlite is None:
            self._send(gathered)
            return
        self._require_time(CONNECTING)
        try:
            self._run(self._sqlite, gathered)
        finally:
            self._give_back()

    def conflicting(self) -> Sequence[sa.Row[Any]]:
        """Give the result of `on_conflict`: from the failed commit or, if that gave none, from a new read."""
        if self.on_conflict is None:
            return []
        return self.read(*self.on_conflict) if self._found is None else self._found

    def _send(self, gathered: Sequence[_Gathered]) -> None:
        statement, parameters = self.on_conflict or (None, {})
        parts = (f'"{_name(place)}":{step.as_json(some)}' for place, ((step, _), some, *_) in enumerate(gathered))
        rows = f"{{{','.join(parts)}}}"
        data: dict[str, Any] = {}
        for place, ((step, _), some, *_) in enumerate(gathered):
            data |= step.bytes_of(_name(place), some)
        with self._connect() as connection:
            result = connection.execute(batch(_plan(gathered), statement), {"rows": rows, **data, **parameters})
            if not result.returns_rows:
                result.close()
                return
            outcome = result.all()
        if statement is not None:
            self._found = [row for row in outcome if row[1] is not None]
        raise gathered[outcome[0].step].error

    def _run(self, sqlite: Session, gathered: Sequence[_Gathered]) -> None:
        with sqlite.transaction() as cursor:
            for gathered_step in gathered:
                (step, must_find), rows = gathered_step.plan, gathered_step.rows
                try:
                    complete = step.run(cursor, rows)
                except sqlite3.IntegrityError as error:
                    if error.sqlite_errorname not in _THERE_ALREADY:
                        raise sa.exc.IntegrityError(str(step.statement), None, error, hide_parameters=True) from error
                    raise gathered_step.error from error
                except sqlite3.Error as error:
                    raise operational(str(step.statement), error) from error
                if must_find and not complete:
                    raise gathered_step.error

    def _give_back(self) -> None:
        if self._sqlite is not None:
            self._sqlite.close()

    def _connect(self) -> sa.Connection:
        self._require_time(CONNECTING)
        connection = self._engine.connect()
        if self._until is None:
            return connection
        left = self._left()
        if left < TIMEOUTS:
            connection.close()
            raise OutOfTime
        timeout = next(seconds for seconds in STATEMENT_TIMEOUTS if left >= TIMEOUTS * seconds)
        return connection.execution_options(statement_timeout=timeout)

    def _require_time(self, seconds: float) -> None:
        if self._left() < seconds:
            raise OutOfTime

    def _left(self) -> float:
        return float("inf") if self._until is None else self._until - time.monotonic()


_THERE_ALREADY = {"SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE"}


@cache
def batch(plan: tuple[Planned, ...], on_conflict: sa.Select[Any] | None) -> sa.TextualSelect:
    """Make one batch of T-SQL of a unit's statements; it never leaves a transaction open.

    Its parameter `rows` is the JSON of all rows. A successful batch returns no rows. After a conflict it returns rows
    with the number of the failed step and the result of `on_conflict`. Other errors are raised unchanged.
    """
    finding, binds = ("", ()) if on_conflict is None else written(on_conflict)
    found = () if on_conflict is None else on_conflict.selected_columns
    steps = "\n".join(_step(place, step, must_find=must_find) for place, (step, must_find) in enumerate(plan))
    # NOCOUNT: the driver stops at the first row count, and would miss an error behind it
    text = sa.text(f"""\
SET NOCOUNT, XACT_ABORT ON;
DECLARE @rows NVARCHAR(MAX) = :rows, @step INT = 0;
BEGIN TRY
BEGIN TRANSACTION;
{steps}
COMMIT;
END TRY
BEGIN CATCH
IF @@TRANCOUNT > 0 ROLLBACK;
IF ERROR_NUMBER() NOT IN (2601, 2627, {MISSED}) THROW;
{_conflict(finding)};
END CATCH""")
    columns = (sa.column("step", sa.Integer), *(sa.column(str(column.key), column.type) for column in found))
    data = (each for place, (step, _) in enumerate(plan) for each in step.parameters(_name(place)))
    return text.bindparams(sa.bindparam("rows", type_=sa.Unicode), *data, *binds).columns(*columns)


def _step(place: int, step: Step, *, must_find: bool) -> str:
    name = _name(place)
    lines = [f"SET @step = {place};", step.tsql(name)]
    if must_find:
        lines.append(f"IF {step.missed(name)} THROW {MISSED}, N'a row did not find what it is about', 1;")
    return "\n".join(filter(None, lines))


def _conflict(finding: str) -> str:
    if not finding:
        return "SELECT @step AS step"
    return f"SELECT @step AS step, found.* FROM (SELECT 1 AS one) AS it LEFT JOIN ({finding}) AS found ON 1 = 1"  # noqa: S608


def _name(place: int) -> str:
    return f"s{place}"


def commit_and_wake(work: UnitOfWork, committed: Callable[[], None]) -> None:
    """Commit, and wake the publisher: also where the answer is lost, for the events may be in the log.

    Raises:
        Exception: as UnitOfWork.commit.
    """
    try:
        work.commit()
    except sa.exc.DBAPIError:
        committed()
        raise
    committed()
