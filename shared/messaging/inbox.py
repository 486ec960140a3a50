"""The inbox: which events a consumer that changes SQL has consumed, written in the transaction of that change."""

from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from shared.messaging.columns import UtcDateTime


def inbox_table(schema: sa.MetaData) -> sa.Table:
    """Declare a context's inbox."""
    return sa.Table(
        "inbox",
        schema,
        sa.Column("event_id", sa.Uuid, primary_key=True),
        sa.Column("received_at", UtcDateTime, nullable=False),
    )


class Inbox:
    """Tells first deliveries from repeated ones."""

    def __init__(self, table: sa.Table) -> None:
        self.seen = sa.select(table.c.event_id).where(table.c.event_id == sa.bindparam("event", type_=sa.Uuid))
        self.record = sa.insert(table)

    def receive(self, connection: sa.Connection, event_id: UUID) -> bool:
        """Note an event as consumed; False when it was already, and must change nothing again.

        Raises:
            sqlalchemy.exc.IntegrityError: it is being consumed elsewhere at this moment; the delivery will be repeated.
        """
        if connection.execute(self.seen, {"event": event_id}).first() is not None:
            return False
        connection.execute(self.record, {"event_id": event_id, "received_at": datetime.now(UTC)})
        return True
