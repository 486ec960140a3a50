"""The unit of work: reads at once, gathers what is to be written, and writes it in one transaction at its end.

On Azure SQL that is one request for each read, and one for all writes: a batch that begins, writes and commits. Reading
locks nothing. A unit of work that relies on what it has read says so with `require`, and the transaction checks that
first: if it has changed, nothing is written, and the command is decided again (ADR 15).
"""

import sqlite3
import time
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Self
from uuid import UUID

import sqlalchemy as sa

from shared.frame.sql.sqlite import question, sqlite_cursor
from shared.frame.write_side.lines import Lines, Place
from shared.frame.write_side.writes import Check, Key, Row, Step, Write, written

MISSED = 50_409
"""The number of our own error in a batch: a row did not find what it is about."""

TIMEOUTS = 3
"""Time-outs that a request to a silent server takes: the driver waits for the answer, and twice as long for the answer
to its ATTENTION. Measured with Microsoft's driver 18.6."""

CONNECTING = 4
"""Seconds that it may take to get a connection: of the pool's, and to log in (shared/frame/sql/engines.py)."""

LONGEST_TIMEOUT = 3
"""Seconds after which a statement of a unit with a deadline is given up; whole ones, for ODBC counts in them."""


class LostRace(Exception):
    """Another command changed the same aggregate, or what this one was decided on; decide again on what is now."""


class OutOfTime(Exception):
    """A request to the database is not begun: it might take longer than the command has left."""


class Planned(NamedTuple):
    """A step of a batch, and whether each of its rows has to find something."""

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


class UnitOfWork:
    """What one command or consumed event reads and writes.

    Attributes:
        on_conflict: what is read if the writes are in conflict with others'.
    """

    def __init__(
        self,
        engine: sa.Engine,
        until: float | None = None,
        on_conflict: tuple[sa.Select[Any], Row] | None = None,
        lines: Lines | None = None,
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            engine: the context's engine.
            until: when every request must have been answered, by time.monotonic; None is whenever.
            on_conflict: what to read, in the same request, if the writes are in conflict with others'.
            lines: where work on the same aggregate waits.
        """
        self._engine = engine
        self._until = until
        self.on_conflict = on_conflict
        self._lines = lines
        self._in_line: list[Place] = []
        self._gathered: list[_Gathered] = []
        self._found: Sequence[sa.Row[Any]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for place in self._in_line:
            place.leave()

    def stand_in_line(self, *aggregate_ids: UUID) -> None:
        """Wait until earlier work of this process on the same aggregates is done.

        Waiting spares work that would lose the race; what is correct does not depend on it, for the transaction checks
        versions. A unit waits once only, and in the order of the ids, so that no two units wait for each other.

        Raises:
            LostRace: the earlier work was not done in time.
        """
        if self._lines is None or self._in_line:
            return
        for aggregate_id in sorted(set(aggregate_ids)):
            left = None if self._until is None else self._left() - CONNECTING
            place = self._lines.stand(aggregate_id, left)
            if place is None:
                raise LostRace
            self._in_line.append(place)

    def read(self, statement: sa.Select[Any], parameters: Row) -> Sequence[sa.Row[Any]]:
        """Read rows, as they are now.

        Raises:
            OutOfTime: there is no time left for it.
        """
        with self._connect() as connection:
            if connection.dialect.name == "mssql":
                return connection.execute(statement, parameters).all()
            try:
                return question(statement).rows(sqlite_cursor(connection), parameters)
            except sqlite3.Error as error:
                raise _operational(statement, error) from error

    def require(self, check: Check, rows: Sequence[Row], otherwise: Exception | None = None) -> None:
        """Write only if each of these rows finds something by then, such as what it was read from.

        Args:
            check: how to look.
            rows: what for.
            otherwise: raised if one finds nothing; the race is lost by default.
        """
        if rows:
            self._gathered.append(_Gathered(Planned(check, must_find=True), list(rows), set(), otherwise))

    def write(
        self, write: Write, rows: Sequence[Row], *, must_find: bool = False, otherwise: Exception | None = None
    ) -> None:
        """Write rows when the unit is committed.

        Rows of several aggregates of one kind go as one step, so that the batch is the same for any number of them. So
        rows may be written before steps that were asked for earlier, but only where that changes nothing: never before
        a check, a write with an error of its own, a write to the same table, or one that foreign keys tie them to.

        Args:
            write: how.
            rows: what.
            must_find: whether each row has to find what it changes.
            otherwise: raised if a row does not find that, or is there already; the race is lost by default.

        Raises:
            ValueError: two of the rows change the same one.
        """
        if not rows:
            return
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
        return tuple(step.plan for step in self._gathered)

    def commit(self) -> None:
        """Write what was gathered, in this order: all of it or, after an error, nothing.

        Raises:
            LostRace: another has changed what this unit relies on or writes.
            Exception: what `write` was given for this case.
            OutOfTime: there is no time left for it.
        """
        gathered, plan = self._gathered, self.plan
        self._gathered = []
        if not gathered:
            return
        if self._engine.dialect.name == "mssql":
            self._send(plan, gathered)
        else:
            self._run(gathered)

    def conflicting(self) -> Sequence[sa.Row[Any]]:
        """Give what `on_conflict` finds: as of the conflict, or as of now if it was not asked then."""
        if self.on_conflict is None:
            return []
        return self.read(*self.on_conflict) if self._found is None else self._found

    def _send(self, plan: tuple[Planned, ...], gathered: Sequence[_Gathered]) -> None:
        statement, parameters = self.on_conflict or (None, {})
        parts = (f'"{_name(place)}":{step.as_json(some)}' for place, ((step, _), some, *_) in enumerate(gathered))
        rows = f"{{{','.join(parts)}}}"
        data: dict[str, Any] = {}
        for place, ((step, _), some, *_) in enumerate(gathered):
            data |= step.bytes_of(_name(place), some)
        with self._connect() as connection:
            result = connection.execute(batch(plan, statement), {"rows": rows, **data, **parameters})
            if not result.returns_rows:
                result.close()
                return
            outcome = result.all()
        if statement is not None:
            self._found = [row for row in outcome if row[1] is not None]
        raise gathered[outcome[0].step].error

    def _run(self, gathered: Sequence[_Gathered]) -> None:
        with self._engine.begin() as connection:
            cursor = sqlite_cursor(connection)
            for gathered_step in gathered:
                (step, must_find), rows = gathered_step.plan, gathered_step.rows
                try:
                    complete = step.run(cursor, rows)
                except sqlite3.IntegrityError as error:
                    if error.sqlite_errorname not in _THERE_ALREADY:
                        raise sa.exc.IntegrityError(str(step.statement), None, error, hide_parameters=True) from error
                    raise gathered_step.error from error
                except sqlite3.Error as error:
                    raise _operational(step.statement, error) from error
                if must_find and not complete:
                    raise gathered_step.error

    def _connect(self) -> sa.Connection:
        if self._left() < CONNECTING:
            raise OutOfTime
        connection = self._engine.connect()
        if self._until is None:
            return connection
        left = self._left()
        if left < TIMEOUTS:
            connection.close()
            raise OutOfTime
        # one of two, for a cursor is kept for each
        timeout = LONGEST_TIMEOUT if left >= TIMEOUTS * LONGEST_TIMEOUT else 1
        return connection.execution_options(statement_timeout=timeout)

    def _left(self) -> float:
        return float("inf") if self._until is None else self._until - time.monotonic()


_THERE_ALREADY = {"SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE"}


def _operational(statement: sa.ClauseElement, error: sqlite3.Error) -> sa.exc.OperationalError:
    """Make SQLAlchemy's error of the driver's, as its own executions do."""
    return sa.exc.OperationalError(str(statement), None, error, hide_parameters=True)


@cache
def batch(plan: tuple[Planned, ...], on_conflict: sa.Select[Any] | None) -> sa.TextualSelect:
    """Write a unit's statements as one batch of T-SQL, which leaves no transaction open, whatever happens.

    Its parameter `rows` is the JSON of all rows. It gives no rows if all went well; after a conflict it gives one, with
    the number of the step that met it and what `on_conflict` finds. Other errors are raised as they come.
    """
    finding, binds = ("", ()) if on_conflict is None else written(on_conflict)
    found = () if on_conflict is None else on_conflict.selected_columns
    steps = "\n".join(_step(place, step, must_find=must_find) for place, (step, must_find) in enumerate(plan))
    # NOCOUNT: the driver would see an error only behind the first row count, and stop there
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
