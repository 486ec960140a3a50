"""The event log: one append-only table per context, written in the command's own transaction.

It is the audit trail, the source that read models are rebuilt from, the outbox that the relay publishes from, and the
record that makes commands idempotent: what a command answered follows from the events it left.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from shared.messaging.codec import EventCodec
from shared.messaging.columns import UtcDateTime, exact_text
from shared.messaging.envelope import Accepted, Envelope, Metadata, Recorded

PARAMETERS = 1_000
"""Values of one list; SQL Server takes 2,100 parameters a statement."""


def event_log_table(schema: sa.MetaData) -> sa.Table:
    """Declare a context's event log."""
    table = sa.Table(
        "event_log",
        schema,
        # commits may become visible out of this column's order: it sorts, it is no cursor
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("aggregate_id", sa.Uuid, nullable=False),
        sa.Column("aggregate_version", sa.BigInteger, nullable=False),
        sa.Column("type", sa.Unicode(100), nullable=False),
        sa.Column("payload", sa.Unicode, nullable=False),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.Column("command_id", exact_text(255), nullable=False),
        sa.Column("command_fingerprint", sa.BINARY(32).with_variant(sa.LargeBinary(), "sqlite")),
        sa.Column("correlation_id", sa.Unicode(128), nullable=False),
        sa.Column("causation_id", exact_text(255), nullable=False),
        sa.Column("traceparent", sa.Unicode(55)),
        sa.Column("actor", sa.Unicode(255), nullable=False),
        sa.Column("claimed_until", UtcDateTime),
        sa.Column("published_at", UtcDateTime),
        sa.UniqueConstraint("event_id", name="uq_event_log_event_id"),
        sa.UniqueConstraint("aggregate_id", "aggregate_version", name="uq_event_log_aggregate_version"),
    )
    for name, columns, unique, where in (
        ("uq_event_log_command", ["command_id"], True, "command_fingerprint IS NOT NULL"),
        ("ix_event_log_unpublished", ["sequence"], False, "published_at IS NULL"),
        ("ix_event_log_unpublished_aggregate", ["aggregate_id", "aggregate_version"], False, "published_at IS NULL"),
    ):
        only = sa.text(where)
        sa.Index(name, *(table.c[column] for column in columns), unique=unique, mssql_where=only, sqlite_where=only)
    return table


@dataclass(frozen=True, slots=True)
class Statements:
    """Every statement on one log, built once: building costs eight times what running a built one does."""

    append: sa.Insert
    history: sa.Select[Any]
    histories: sa.Select[Any]
    newest: sa.Select[Any]
    first_of_command: sa.Select[Any]
    claim: sa.Update
    claimed: sa.Select[Any]
    mark_published: sa.Update
    release: sa.Update
    unpublished: sa.Select[Any]


def _statements(log: sa.Table) -> Statements:
    first, last = log.alias("first"), log.alias("last")
    head, earlier = log.alias("head"), log.alias("earlier")
    waiting, oldest = log.alias("waiting"), log.alias("oldest")
    heads = (
        sa.select(head.c.sequence)
        .with_hint(head, "WITH (READPAST, UPDLOCK, ROWLOCK)", "mssql")
        .where(
            head.c.published_at.is_(None),
            sa.or_(head.c.claimed_until.is_(None), head.c.claimed_until < sa.bindparam("now", type_=UtcDateTime)),
            ~sa.exists().where(
                earlier.c.aggregate_id == head.c.aggregate_id,
                earlier.c.aggregate_version < head.c.aggregate_version,
                earlier.c.published_at.is_(None),
            ),
        )
        .order_by(head.c.sequence)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )
    return Statements(
        append=sa.insert(log),
        history=sa.select(log)
        .where(
            log.c.aggregate_id == sa.bindparam("id", type_=sa.Uuid),
            log.c.aggregate_version > sa.bindparam("after", type_=sa.BigInteger),
            log.c.aggregate_version <= sa.bindparam("until", type_=sa.BigInteger),
        )
        .order_by(log.c.aggregate_version),
        histories=sa.select(log)
        .where(log.c.aggregate_id.in_(sa.bindparam("ids", expanding=True, type_=sa.Uuid)))
        .order_by(log.c.aggregate_id, log.c.aggregate_version),
        newest=sa.select(sa.func.max(log.c.sequence)),
        first_of_command=sa.select(
            first.c.aggregate_id,
            first.c.command_fingerprint,
            sa.select(sa.func.max(last.c.aggregate_version))
            .where(last.c.aggregate_id == first.c.aggregate_id, last.c.command_id == first.c.command_id)
            .scalar_subquery()
            .label("version"),
        ).where(
            first.c.command_id == sa.bindparam("command", type_=exact_text(255)),
            first.c.command_fingerprint.is_not(None),
        ),
        claim=sa.update(log)
        .where(log.c.sequence.in_(heads))
        .values(claimed_until=sa.bindparam("until", type_=UtcDateTime))
        .returning(log.c.aggregate_id),
        claimed=sa.select(log)
        .where(
            log.c.published_at.is_(None),
            log.c.aggregate_id.in_(sa.bindparam("ids", expanding=True, type_=sa.Uuid)),
        )
        .order_by(log.c.sequence),
        mark_published=sa.update(log)
        .where(log.c.sequence.in_(sa.bindparam("sequences", expanding=True, type_=sa.BigInteger)))
        .values(published_at=sa.bindparam("now", type_=UtcDateTime), claimed_until=None),
        release=sa.update(log)
        .where(
            log.c.published_at.is_(None),
            log.c.aggregate_id.in_(sa.bindparam("ids", expanding=True, type_=sa.Uuid)),
        )
        .values(claimed_until=sa.bindparam("until", type_=UtcDateTime)),
        # both by the index of what is unpublished, however long the outbox is
        unpublished=sa.select(
            sa.select(sa.func.count()).where(waiting.c.published_at.is_(None)).scalar_subquery().label("events"),
            oldest.c.occurred_at,
        )
        .where(oldest.c.published_at.is_(None))
        .order_by(oldest.c.sequence)
        .limit(1),
    )


@dataclass(frozen=True, slots=True)
class Entry[Event]:
    """An event as the log has it, and when Service Bus had it; None if that is still to come."""

    recorded: Recorded[Event]
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """What a keyed command answered when it was accepted."""

    fingerprint: bytes
    accepted: Accepted


class EventLog[Event]:
    """One context's log, over a connection that the caller's transaction holds."""

    def __init__(self, table: sa.Table, codec: EventCodec[Event]) -> None:
        self.table = table
        self.codec = codec
        self.statements = _statements(table)

    def append(
        self, connection: sa.Connection, aggregate_id: UUID, after: int, events: Iterable[Event], metadata: Metadata
    ) -> None:
        """Add the events that bring an aggregate on from version `after`.

        Raises:
            sqlalchemy.exc.IntegrityError: another command has made one of these versions, or used the same key.
        """
        rows = [
            {
                "event_id": uuid4(),
                "aggregate_id": aggregate_id,
                "aggregate_version": version,
                "type": type(event).__name__,
                "payload": self.codec.encode(event).decode(),
                "occurred_at": metadata.at,
                "command_id": metadata.command_id,
                "command_fingerprint": metadata.fingerprint if version == after + 1 else None,
                "correlation_id": metadata.correlation_id,
                "causation_id": metadata.causation_id or metadata.command_id,
                "traceparent": metadata.traceparent,
                "actor": metadata.actor,
            }
            for version, event in enumerate(events, after + 1)
        ]
        connection.execute(self.statements.append, rows)

    def history(
        self, connection: sa.Connection, aggregate_id: UUID, after: int = 0, until: int = 2**62
    ) -> Sequence[Recorded[Event]]:
        """Read an aggregate's events with versions in (after, until], oldest first."""
        return [entry.recorded for entry in self.entries(connection, aggregate_id, after, until)]

    def entries(
        self, connection: sa.Connection, aggregate_id: UUID, after: int = 0, until: int = 2**62
    ) -> Sequence[Entry[Event]]:
        """Read the same, with when each was published."""
        rows = connection.execute(self.statements.history, {"id": aggregate_id, "after": after, "until": until})
        return [Entry(self.codec.open(_envelope(row)), row.published_at) for row in rows]

    def histories(self, connection: sa.Connection, aggregate_ids: Sequence[UUID]) -> dict[UUID, list[Recorded[Event]]]:
        """Read all events of some aggregates, oldest first; an aggregate without events is left out."""
        found: dict[UUID, list[Recorded[Event]]] = defaultdict(list)
        for some in batched(aggregate_ids, PARAMETERS, strict=False):
            for row in connection.execute(self.statements.histories, {"ids": some}):
                found[row.aggregate_id].append(self.codec.open(_envelope(row)))
        return found

    def newest(self, connection: sa.Connection) -> int:
        """Give the highest sequence that is visible; 0 in an empty log."""
        return connection.execute(self.statements.newest).scalar() or 0

    def first_answer(self, connection: sa.Connection, command_id: str) -> FirstAnswer | None:
        """Look up what the command with this key answered, if one was accepted."""
        row = connection.execute(self.statements.first_of_command, {"command": command_id}).one_or_none()
        return (
            None
            if row is None
            else FirstAnswer(row.command_fingerprint, Accepted(row.aggregate_id, row.version, replayed=True))
        )

    def claim(
        self, connection: sa.Connection, now: datetime, until: datetime, most: int
    ) -> Iterator[tuple[int, Envelope]]:
        """Take unpublished events for publishing, with their sequence, in order; nobody else gets them until `until`.

        The oldest unpublished event of an aggregate stands for all of it: only whoever holds that one may publish the
        aggregate, and a later event becomes the oldest only when those before it are marked. So two relays never
        send one aggregate's events in the wrong order.
        """
        heads = connection.execute(self.statements.claim, {"now": now, "until": until, "most": most}).scalars().all()
        if heads:
            for row in connection.execute(self.statements.claimed, {"ids": heads}):
                yield row.sequence, _envelope(row)

    def mark_published(self, connection: sa.Connection, sequences: Sequence[int], now: datetime) -> None:
        """Note that the events have reached Service Bus."""
        for some in batched(sequences, PARAMETERS, strict=False):
            connection.execute(self.statements.mark_published, {"sequences": some, "now": now})

    def release(self, connection: sa.Connection, aggregate_ids: Sequence[UUID], until: datetime) -> None:
        """Give up the claim on aggregates that could not be sent; they are tried again after `until`."""
        connection.execute(self.statements.release, {"ids": aggregate_ids, "until": until})

    def unpublished(self, connection: sa.Connection) -> tuple[int, datetime | None]:
        """Tell how many events the outbox holds, and when the oldest of them occurred."""
        row = connection.execute(self.statements.unpublished).one_or_none()
        return (0, None) if row is None else (row.events, row.occurred_at)


def _envelope(row: sa.Row[Any]) -> Envelope:
    return Envelope(
        event_id=row.event_id,
        aggregate_id=row.aggregate_id,
        version=row.aggregate_version,
        type=row.type,
        payload=row.payload,
        occurred_at=row.occurred_at,
        command_id=row.command_id,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        traceparent=row.traceparent,
        actor=row.actor,
    )
