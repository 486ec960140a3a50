"""The fulfilments of orders, for operators: what each waits for, since when, what comes next, and what happened."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from shared.frame.platform.examples import example
from shared.frame.platform.input import Digits, Id, Moment, QueryInput
from shared.frame.platform.output import Answer, Time
from shared.frame.platform.times import utc_text
from shared.frame.read_side.cursors import LONGEST, cursor_at, position_of
from shared.frame.read_side.read_your_writes import Wait
from shared.frame.sql.columns import UtcDateTime
from shared.frame.sql.reading import read_from
from shared.frame.write_side.concurrency_limit import FairConcurrencyLimit
from shared.ordering.domain.errors import ProcessNotFound
from shared.ordering.fulfilment.decisions import Deadline
from shared.ordering.fulfilment.repository import FIND, process_of
from shared.ordering.tables import FULFILMENTS
from shared.story import ORDER_ID

CONCURRENCY, MAX_WAITING = 1, 16
"""Pages that one process reads at once, and the most requests that may run or wait."""

_AT = sa.bindparam("after_at", type_=UtcDateTime)
_STATE = sa.bindparam("of_state", type_=sa.Unicode(20))


def _running(at: sa.Column[datetime]) -> sa.Select[Any]:
    """Select a page of those that are under way, in the order of a time that an index has."""
    after_id = sa.bindparam("after_id", type_=sa.Uuid)
    return (
        sa.select(FULFILMENTS)
        .where(
            FULFILMENTS.c.ended_at.is_(None),
            at >= _AT,  # the OR below implies this, but databases cannot seek by an OR
            sa.or_(at > _AT, sa.and_(at == _AT, FULFILMENTS.c.order_id > after_id)),
            sa.or_(sa.literal_column("''") == _STATE, FULFILMENTS.c.state == _STATE),
        )
        .order_by(at, FULFILMENTS.c.order_id)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )


RUNNING = _running(FULFILMENTS.c.begun_at)
RUNNING_DUE = _running(FULFILMENTS.c.due_at).where(FULFILMENTS.c.due_at <= sa.bindparam("due_by", type_=UtcDateTime))

_BEGINNING = datetime.min.replace(tzinfo=UTC), UUID(int=0)


class ProcessDeadline(Answer):
    """When the order is cancelled if it still waits for this; a `settlement` ends the wait of one that is cancelled."""

    waits_for: Deadline
    at: Time


class ProcessStep(Answer):
    """Something that happened to an order on its way."""

    at: Time
    what: str


class OrderProcess(Answer):
    """The fulfilment of one order.

    `next` are the steps that follow if all goes well; `steps` are the last 40 steps so far.
    """

    order_id: UUID
    state: str
    waits_for: str
    since: Time
    next: list[str]
    deadline: ProcessDeadline | None
    ended_at: Time | None = Field(description="null: it is under way")
    steps: list[ProcessStep]


class RunningProcesses(Answer):
    """A page of fulfilments under way; `next` is the cursor of the next page.

    The oldest come first, and of those that are due, the one with the earliest deadline.
    """

    items: list[OrderProcess]
    next: str | None


class ListProcesses(QueryInput, json_schema_extra=example(take=20)):
    """The fulfilments of orders that are under way: what each waits for, what comes next, and what happened so far."""

    state: Annotated[str, StringConstraints(pattern="^(submitted|confirmed|completed|cancelled)$")] | None = Field(
        default=None, description="how far the order is"
    )
    due: Moment | None = Field(
        default=None,
        description="those whose deadline is at this time or before, the earliest first. A deadline may move between "
        "two pages: a process whose deadline comes to lie before the cursor is on none of the pages that follow, and "
        "one whose deadline is put off may come twice. Reading from the beginning gives both",
    )
    cursor: Annotated[str, StringConstraints(max_length=LONGEST)] | None = Field(
        default=None, description="the `next` of the page before"
    )
    take: Annotated[int, Field(ge=1, le=100), Digits] = 20


class ReadProcess(QueryInput, json_schema_extra=example(orderId=ORDER_ID)):
    """The fulfilment of an order, under way or ended: what it waits for, what comes next, and what happened so far."""

    order_id: Id


class Processes:
    """Reads ordering's table of fulfilments."""

    def __init__(self, reader: sa.Engine) -> None:
        """Prepare; nothing connects yet."""
        self._reader = reader
        self._limit = FairConcurrencyLimit(CONCURRENCY, MAX_WAITING, kind="reads of processes")

    async def read_page(self, query: ListProcesses, wait: Wait) -> RunningProcesses:
        """Read a page.

        Raises:
            Invalid: the cursor is of another list.
            Unavailable: the request did not have its turn in time.
        """
        of_list = f"processes {query.state}" + (f" due {utc_text(query.due)}" if query.due else "")
        cursor = query.cursor
        after_at, after_id = _BEGINNING if cursor is None else position_of(cursor, of_list, 0, _place)
        values = {
            "after_at": after_at,
            "after_id": after_id,
            "of_state": query.state or "",
            "most": query.take + 1,
            **({"due_by": query.due} if query.due else {}),
        }
        statement = RUNNING_DUE if query.due else RUNNING
        rows = await self._limit.take_for(wait.caller, lambda: self._rows(statement, values))
        items = [_shown(row) for row in rows[: query.take]]
        if len(rows) <= query.take:
            return RunningProcesses(items=items, next=None)
        last = rows[query.take - 1]
        at = last.due_at if query.due else last.begun_at
        return RunningProcesses(items=items, next=cursor_at(f"{at.isoformat()} {last.order_id}", of_list, 0))

    async def read_one(self, query: ReadProcess, wait: Wait) -> OrderProcess:
        """Read the fulfilment of one order.

        Raises:
            ProcessNotFound: no fulfilment of such an order has begun.
            Unavailable: the request did not have its turn in time.
        """
        rows = await self._limit.take_for(wait.caller, lambda: self._rows(FIND, {"id": query.order_id}))
        if not rows:
            raise ProcessNotFound(f"There is no fulfilment of an order {query.order_id}.")
        return _shown(rows[0])

    def _rows(self, statement: sa.Select[Any], values: dict[str, Any]) -> Sequence[sa.Row[Any]]:
        return read_from(self._reader, lambda connection: connection.execute(statement, values).all())


def _place(text: str) -> tuple[datetime, UUID]:
    at, id_ = text.split(" ")
    moment = datetime.fromisoformat(at)
    if moment.utcoffset() != timedelta(0):
        raise ValueError("no time in UTC")
    return moment, UUID(id_)


def _shown(row: sa.Row[Any]) -> OrderProcess:
    process = process_of(row)
    facts = process.facts
    deadline = None
    if process.due_at is not None and facts.deadline is not None:
        deadline = ProcessDeadline(waits_for=facts.deadline, at=utc_text(process.due_at))
    return OrderProcess(
        order_id=process.order_id,
        state=facts.order,
        waits_for=facts.waits_for,
        since=utc_text(process.since),
        next=list(facts.comes_next),
        deadline=deadline,
        ended_at=row.ended_at and utc_text(row.ended_at),
        steps=[ProcessStep(at=utc_text(step.at), what=step.what) for step in process.steps],
    )
