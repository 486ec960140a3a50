"""The inbox: the record of consumed events, written in the same transaction as the consumer's changes."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Envelope, Metadata, Recorded
from shared.frame.sql.columns import UtcDateTime, in_ids
from shared.frame.write_side.aggregate_queues import AggregateQueues
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
    """The event was consumed before, so its consumer must not change anything again."""


class Inbox:
    """Tells first deliveries from repeated ones."""

    def __init__(self, table: sa.Table) -> None:
        self.table = table
        self.record = insert(table)
        self.find = sa.select(table.c.event_id).where(table.c.event_id == sa.bindparam("id", type_=sa.Uuid))
        self.received = sa.select(table.c.event_id, table.c.received_at).where(in_ids(table.c.event_id, "ids"))

    def receive(self, work: UnitOfWork, event_id: UUID) -> None:
        """Record an event as consumed; committing raises AlreadyConsumed if it is recorded already."""
        row = {"event_id": event_id, "received_at": datetime.now(UTC)}
        work.write(self.record, [row], otherwise=AlreadyConsumed())

    def consume[Event](
        self,
        engine: sa.Engine,
        recorded: Recorded[Event],
        handler: Callable[[Recorded[Event], UnitOfWork], None],
        queues: AggregateQueues | None = None,
    ) -> bool:
        """Let a handler consume an event once: its writes and the record of the event are one transaction.

        The commit detects a repeated event. A handler may refuse a repeated event before the commit, because its change
        has been made already; so after a refusal the inbox is asked.

        Returns:
            Whether it was consumed now, and not before.

        Raises:
            Exception: the handler or the commit failed; nothing has changed as far as is known.
        """
        with UnitOfWork(engine, queues=queues) as work, suppress(AlreadyConsumed):
            event_id = recorded.envelope.event_id
            self.receive(work, event_id)
            try:
                handler(recorded, work)
            except Exception:
                if work.read(self.find, {"id": event_id}):
                    return False
                raise
            work.commit()
            return True
        return False


def caused_by(envelope: Envelope) -> Metadata:
    """Give the metadata of events that follow from an event: its correlation id, and itself as their cause."""
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
