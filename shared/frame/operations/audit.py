"""The audit trail: who did what to the running system. One entry precedes each action, and one records its outcome.

If the process dies in between, the first entry stands without an outcome. Nothing is done without an entry.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from pydantic import Field, JsonValue, StringConstraints

from shared.frame.messaging.envelope import Metadata
from shared.frame.operations.errors import described
from shared.frame.operations.tables import AUDIT
from shared.frame.platform.input import Digits, QueryInput
from shared.frame.platform.output import Answer, Time
from shared.frame.platform.threads import Threads
from shared.frame.platform.times import utc_text
from shared.frame.read_side.cursors import LONGEST, cursor_at, position_of
from shared.frame.sql.reading import again_if_lost, read_from
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.frame.write_side.writes import insert

RECORDING = Threads("audit", 2)

INTENDED, DONE = "intended", "done"
"""The two steps of an action."""

NEWEST = 2**63 - 1
"""A sequence that comes after all entries."""

_LIST = "audit"
"""The list that its cursors belong to."""

_intended, _done = AUDIT.alias("intended"), AUDIT.alias("done")

RECORD = insert(AUDIT)
PAGE = (
    sa.select(_intended, _done.c.at.label("done_at"), _done.c.details.label("outcome"))
    .select_from(
        _intended.outerjoin(_done, sa.and_(_done.c.action_id == _intended.c.action_id, _done.c.step == DONE)),
    )
    .where(_intended.c.step == INTENDED, _intended.c.sequence < sa.bindparam("older_than", type_=sa.BigInteger))
    .order_by(_intended.c.sequence.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)


class Outcome(Answer):
    """The outcome of an action, and its time."""

    at: Time
    details: dict[str, JsonValue]


class AuditEntry(Answer):
    """Who did what to which part of the system; without an outcome if it is under way, or died under way."""

    action_id: UUID
    at: Time
    actor: str
    correlation_id: str
    action: str
    subject: str
    details: dict[str, JsonValue]
    outcome: Outcome | None


class AuditTrail(Answer):
    """A page of entries, newest first; `next` is the cursor of the next page, which has older ones."""

    items: list[AuditEntry]
    next: str | None


class ReadAudit(QueryInput):
    """Who did what to the running system, newest first."""

    cursor: Annotated[str, StringConstraints(max_length=LONGEST)] | None = Field(
        default=None, description="the `next` of the page before"
    )
    take: Annotated[int, Field(ge=1, le=500), Digits] = 50


@dataclass(frozen=True, slots=True)
class Intent:
    """An action that an operator has asked for.

    Attributes:
        action: its name, such as `replay-dead-letters`.
        subject: the part of the system that it acts on.
        details: its parameters, as JSON.
        metadata: the operator, and the request.
    """

    action: str
    subject: str
    details: Mapping[str, JsonValue]
    metadata: Metadata


class Audit:
    """The audit trail; its rows are only ever added."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    async def audited[Done: Answer](self, intent: Intent, action: Callable[[], Awaitable[Done]]) -> Done:
        """Carry an action out between two entries; if the first one cannot be written, the action does not begin.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: an entry cannot be written.
            Exception: what the action raises; the outcome says so.
        """
        action_id = uuid4()
        await RECORDING.run(self._record, action_id, INTENDED, intent, intent.details)
        try:
            done = await action()
        except Exception as error:
            await RECORDING.run(self._record, action_id, DONE, intent, {"error": described(error)})
            raise
        await RECORDING.run(self._record, action_id, DONE, intent, done.model_dump(mode="json", by_alias=True))
        return done

    async def read_page(self, query: ReadAudit) -> AuditTrail:
        """Read what was done, the last first.

        Raises:
            Invalid: the cursor is of another list.
        """
        older_than = NEWEST if query.cursor is None else position_of(query.cursor, _LIST, 0, _sequence)
        rows = await RECORDING.run(self._page, {"older_than": older_than, "most": query.take + 1})
        more, rows = len(rows) > query.take, rows[: query.take]
        return AuditTrail(
            items=[_entry(row) for row in rows],
            next=cursor_at(str(rows[-1].sequence), _LIST, 0) if more else None,
        )

    def _record(self, action_id: UUID, step: str, intent: Intent, details: Mapping[str, Any]) -> None:
        row = {
            "action_id": action_id,
            "step": step,
            "at": datetime.now(UTC),
            "actor": intent.metadata.actor,
            "correlation_id": intent.metadata.correlation_id,
            "action": intent.action,
            "subject": intent.subject,
            "details": json.dumps(details, ensure_ascii=False),
        }

        def write() -> None:
            with UnitOfWork(self._engine) as work:
                work.write(RECORD, [row])
                work.commit()

        with suppress(LostRace):  # an earlier try has written the entry, and its answer was lost
            again_if_lost(write)

    def _page(self, values: dict[str, int]) -> Sequence[sa.Row[Any]]:
        return read_from(self._engine, lambda connection: connection.execute(PAGE, values).all())


def _sequence(place: str) -> int:
    sequence = int(place)
    if not 0 < sequence < NEWEST:
        raise ValueError("no sequence of a row")
    return sequence


def _entry(row: sa.Row[Any]) -> AuditEntry:
    return AuditEntry(
        action_id=row.action_id,
        at=utc_text(row.at),
        actor=row.actor,
        correlation_id=row.correlation_id,
        action=row.action,
        subject=row.subject,
        details=json.loads(row.details),
        outcome=row.done_at and Outcome(at=utc_text(row.done_at), details=json.loads(row.outcome)),
    )
