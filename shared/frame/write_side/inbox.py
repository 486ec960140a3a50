"""The inbox: which events a consumer that changes SQL has consumed, written in the transaction of that change."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Envelope, Metadata, Recorded
from shared.frame.sql.columns import UtcDateTime, in_ids
from shared.frame.write_side.lines import Lines
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.frame.write_side.writes import insert


def inbox_table(schema: sa.MetaData) -> sa.Table:
    """Declare a context's inbox."""
    return sa.Table(
        "inbox",
        schema,
        sa.Column("event_id", sa.Uuid, primary_key=True),
        sa.Column("received_at", UtcDateTime, nullable=False),
    )


class AlreadyConsumed(Exception):
    """The event was consumed before: its consumer changes nothing again."""


class Inbox:
    """Tells first deliveries from repeated ones."""

    def __init__(self, table: sa.Table) -> None:
        self.table = table
        self.record = insert(table)
        self.find = sa.select(table.c.event_id).where(table.c.event_id == sa.bindparam("id", type_=sa.Uuid))
        self.received = sa.select(table.c.event_id, table.c.received_at).where(in_ids(table.c.event_id, "ids"))

    def receive(self, work: UnitOfWork, event_id: UUID) -> None:
        """Have an event noted as consumed. Committing raises AlreadyConsumed if it is."""
        row = {"event_id": event_id, "received_at": datetime.now(UTC)}
        work.write(self.record, [row], otherwise=AlreadyConsumed())

    def consume[Event](
        self,
        engine: sa.Engine,
        recorded: Recorded[Event],
        handler: Callable[[Recorded[Event], UnitOfWork], None],
        lines: Lines | None = None,
    ) -> None:
        """Let a handler take one event in, once: what it writes and the note of the event are one transaction.

        A repeated event is told from a first one by the commit. A handler may refuse before that what it has done
        already: so the inbox is asked then.

        Raises:
            Exception: what the handler or the commit raises; nothing has changed.
        """
        with UnitOfWork(engine, lines=lines) as work, suppress(AlreadyConsumed):
            event_id = recorded.envelope.event_id
            self.receive(work, event_id)
            try:
                handler(recorded, work)
            except Exception:
                if work.read(self.find, {"id": event_id}):
                    return
                raise
            work.commit()


def caused_by(envelope: Envelope) -> Metadata:
    """Give what the events carry that follow from an event: its conversation, and itself as their cause."""
    event_id = str(envelope.event_id)
    return Metadata(
        command_id=event_id,
        fingerprint=None,
        correlation_id=envelope.correlation_id,
        causation_id=event_id,
        traceparent=envelope.traceparent,
        actor=envelope.actor,
        at=datetime.now(UTC),
    )
