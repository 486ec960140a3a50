"""The event log: one append-only table per context, written in the command's own transaction.

It is the audit trail, the source of rebuilt read models, the outbox that the relay publishes from, and the record that
makes commands idempotent: a command's answer follows from its events.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa

from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.envelope import Accepted, Envelope, Metadata, Recorded
from shared.frame.sql.columns import JsonText, UtcDateTime, exact_text, in_ids
from shared.frame.sql.reading import rows_of
from shared.frame.sql.sqlite import operational, question, sqlite_cursor
from shared.frame.write_side.log_search import among_newest, of_aggregate, of_command
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.frame.write_side.writes import Row, Write, insert, written
from shared.kernel.personal import ERASED

_READPAST = "WITH (READPAST, UPDLOCK, ROWLOCK, READCOMMITTEDLOCK)"
"""Skips what another relay is claiming. READPAST asks for READCOMMITTEDLOCK under READ_COMMITTED_SNAPSHOT, which is how
Azure SQL makes databases (Microsoft's page of table hints)."""

AT_ONCE = 200
"""Events of one aggregate that a claim takes at most; 10,000 of them may wait. The next claim goes on."""

_SETTLED = sa.bindparam("rows", type_=sa.Unicode)


def event_log_table(schema: sa.MetaData) -> sa.Table:
    """Declare a context's event log."""
    table = sa.Table(
        "event_log",
        schema,
        # transactions may become visible out of this column's order: it sorts events, but is no cursor
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("aggregate_id", sa.Uuid, nullable=False),
        sa.Column("aggregate_version", sa.BigInteger, nullable=False),
        sa.Column("type", sa.Unicode(100), nullable=False),
        sa.Column("payload", JsonText, nullable=False),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.Column("command_id", exact_text(255), nullable=False),
        sa.Column("command_fingerprint", sa.BINARY(32).with_variant(sa.LargeBinary(), "sqlite")),
        sa.Column("correlation_id", sa.Unicode(128), nullable=False),
        sa.Column("causation_id", exact_text(255), nullable=False),
        sa.Column("traceparent", sa.Unicode(55)),
        sa.Column("actor", sa.Unicode(255), nullable=False),
        sa.Column("claimed_until", UtcDateTime),
        sa.Column("published_at", UtcDateTime),
        # event_id follows from both of these and from what made the event, and so needs no index of its own
        sa.UniqueConstraint("aggregate_id", "aggregate_version", name="uq_event_log_aggregate_version"),
    )
    for name, columns, unique, where in (
        ("uq_event_log_command", ["command_id"], True, "command_fingerprint IS NOT NULL"),
        ("ix_event_log_unpublished", ["sequence"], False, "published_at IS NULL"),
    ):
        only = sa.text(where)
        sa.Index(name, *(table.c[column] for column in columns), unique=unique, mssql_where=only, sqlite_where=only)
    return table


@dataclass(frozen=True, slots=True)
class Statements:
    """Every statement on one log, built once: building costs eight times what running a built one does."""

    append: Write
    erase: Write
    history: sa.Select[Any]
    histories: sa.Select[Any]
    newest: sa.Select[Any]
    version: sa.Select[Any]
    first_of_command: sa.Select[Any]
    claim: sa.Update
    claimed: sa.TextualSelect
    claim_at_once: sa.TextualSelect
    settle_at_once: sa.TextualSelect
    mark_published: Write
    release: Write
    unpublished: sa.Select[Any]
    of_aggregate: sa.Select[Any]
    of_command: sa.Select[Any]
    among_newest: sa.Select[Any]


def _statements(log: sa.Table) -> Statements:
    first, last = log.alias("first"), log.alias("last")
    head, before = log.alias("head"), log.alias("before")
    waiting, oldest = log.alias("waiting"), log.alias("oldest")
    heads = (
        sa.select(head.c.sequence)
        .with_hint(head, _READPAST, "mssql")
        .where(
            head.c.published_at.is_(None),
            sa.or_(
                head.c.claimed_until.is_(None),
                head.c.claimed_until < sa.bindparam("now", type_=UtcDateTime),
                head.c.claimed_until > sa.bindparam("at_most", type_=UtcDateTime),
            ),
            # an aggregate's events are published in order, so its oldest unpublished event is the one whose predecessor
            # is published; a predecessor that this statement's snapshot does not show yet does not count
            sa.or_(
                head.c.aggregate_version == sa.literal_column("1"),
                sa.exists().where(
                    before.c.aggregate_id == head.c.aggregate_id,
                    before.c.aggregate_version == head.c.aggregate_version - sa.literal_column("1"),
                    before.c.published_at.is_not(None),
                ),
            ),
        )
        .order_by(head.c.sequence)
        .limit(sa.bindparam("most", type_=sa.Integer))
        .offset(0)  # without it SQLAlchemy leaves the order out of a subquery of T-SQL
    )
    claim = (
        sa.update(log)
        .where(log.c.sequence.in_(heads))
        .values(claimed_until=sa.bindparam("until", type_=UtcDateTime))
        .returning(log.c.aggregate_id, log.c.aggregate_version)
    )
    mark_published = Write(
        sa.update(log)
        .where(log.c.sequence == sa.bindparam("at_sequence", type_=log.c.sequence.type))
        .values(published_at=sa.bindparam("published_at", type_=UtcDateTime), claimed_until=sa.null())
    )
    release = Write(
        sa.update(log)
        .where(log.c.sequence == sa.bindparam("at_sequence", type_=log.c.sequence.type), log.c.published_at.is_(None))
        .values(claimed_until=sa.bindparam("claimed_until", type_=UtcDateTime))
    )
    settling = f"""\
SET NOCOUNT ON;
DECLARE @rows NVARCHAR(MAX) = :rows;
{mark_published.tsql("published")}
{release.tsql("released")}"""
    return Statements(
        append=insert(log),
        # the only statement that changes an event: apart from it the log is append-only (ADR 34)
        erase=Write(
            sa.update(log)
            .where(log.c.sequence == sa.bindparam("at_sequence", type_=log.c.sequence.type))
            .values(
                payload=sa.bindparam("new_payload", type_=JsonText),
                command_fingerprint=sa.case(
                    (
                        log.c.command_fingerprint.is_not(None),
                        sa.bindparam("no_fingerprint", type_=log.c.command_fingerprint.type),
                    ),
                    else_=sa.null(),
                ),
            )
        ),
        history=sa.select(log)
        .where(
            log.c.aggregate_id == sa.bindparam("id", type_=sa.Uuid),
            log.c.aggregate_version > sa.bindparam("after", type_=sa.BigInteger),
            log.c.aggregate_version <= sa.bindparam("until", type_=sa.BigInteger),
        )
        .order_by(log.c.aggregate_version),
        histories=sa.select(log)
        .where(in_ids(log.c.aggregate_id, "ids"))
        .order_by(log.c.aggregate_id, log.c.aggregate_version),
        newest=sa.select(sa.func.max(log.c.sequence)),
        version=sa.select(sa.func.max(log.c.aggregate_version)).where(
            log.c.aggregate_id == sa.bindparam("id", type_=sa.Uuid)
        ),
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
        claim=claim,
        claimed=_claimed(log),
        claim_at_once=_claim_at_once(log, settling, claim),
        settle_at_once=sa.text(settling)
        .bindparams(_SETTLED)
        .columns(sa.column("nothing")),  # or types are not declared
        mark_published=mark_published,
        release=release,
        # both use the index of unpublished events, however long the outbox is
        unpublished=sa.select(
            sa.select(sa.func.count()).where(waiting.c.published_at.is_(None)).scalar_subquery().label("events"),
            oldest.c.occurred_at,
        )
        .where(oldest.c.published_at.is_(None))
        .order_by(oldest.c.sequence)
        .limit(1),
        of_aggregate=of_aggregate(log),
        of_command=of_command(log),
        among_newest=among_newest(log),
    )


def _columns(log: sa.Table) -> str:
    return ", ".join(f"events.{column.name}" for column in log.c)


def _claimed(log: sa.Table) -> sa.TextualSelect:
    """On SQLite: read the claimed events, and the next ones of the same aggregates."""
    return sa.text(f"""\
SELECT {_columns(log)} FROM {log.fullname} AS events JOIN json_each(:heads) AS head
ON events.aggregate_id = head.value ->> 0
AND events.aggregate_version >= head.value ->> 1 AND events.aggregate_version < (head.value ->> 1) + {AT_ONCE}
ORDER BY events.sequence""").columns(*log.c)  # noqa: S608  # the table's own name


def _claim_at_once(log: sa.Table, settling: str, claim: sa.Update) -> sa.TextualSelect:
    """On Azure SQL: settle, claim and read in one request."""
    claiming, parameters = written(claim)
    output = "OUTPUT inserted.aggregate_id, inserted.aggregate_version"
    text = f"""\
{settling}
DECLARE @claimed TABLE (aggregate_id UNIQUEIDENTIFIER, aggregate_version BIGINT);
{claiming.replace(output, f"{output} INTO @claimed")};
SELECT {_columns(log)} FROM {log.fullname} AS events JOIN @claimed AS head
ON events.aggregate_id = head.aggregate_id
AND events.aggregate_version >= head.aggregate_version AND events.aggregate_version < head.aggregate_version + {AT_ONCE}
ORDER BY events.sequence;"""  # noqa: S608  # as above
    return sa.text(text).bindparams(_SETTLED, *parameters).columns(*log.c)


@dataclass(frozen=True, slots=True)
class Entry[Event]:
    """An event in the log, and when it was published; None if it is unpublished."""

    recorded: Recorded[Event]
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of sending claimed events.

    Attributes:
        published: the sequences of the events that Service Bus has accepted.
        at: when it accepted them.
        released: for each aggregate whose events could not be sent, its first event's sequence, and when to try again.
    """

    published: Sequence[int] = ()
    at: datetime | None = None
    released: Sequence[tuple[int, datetime]] = ()

    @property
    def published_rows(self) -> Sequence[Row]:
        """As rows of `Statements.mark_published`."""
        return [{"at_sequence": sequence, "published_at": self.at} for sequence in self.published]

    @property
    def released_rows(self) -> Sequence[Row]:
        """As rows of `Statements.release`."""
        return [{"at_sequence": sequence, "claimed_until": until} for sequence, until in self.released]


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """The answer of a command with an idempotency key, when it was accepted."""

    fingerprint: bytes
    accepted: Accepted


class EventLog[Event]:
    """One context's log, over a connection that the caller's transaction holds."""

    def __init__(self, table: sa.Table, codec: EventCodec[Event]) -> None:
        self.table = table
        self.codec = codec
        self.statements = _statements(table)

    def append(
        self, work: UnitOfWork, aggregate_id: UUID, after: int, events: Iterable[Event], metadata: Metadata
    ) -> None:
        """Add events to an aggregate at version `after` when the unit of work commits.

        A command that changes several aggregates answers with the first one whose events are added.

        Committing raises LostRace if another command has made one of these versions, or has used the same key.
        """
        answers = not self.has_appended(work)
        rows = [
            {
                "event_id": self._event_id(aggregate_id, version, type(event).__name__, metadata.command_id),
                "aggregate_id": aggregate_id,
                "aggregate_version": version,
                "type": type(event).__name__,
                "payload": self.codec.encode(event).decode(),
                "occurred_at": metadata.at,
                "command_id": metadata.command_id,
                "command_fingerprint": metadata.fingerprint if answers and version == after + 1 else None,
                "correlation_id": metadata.correlation_id,
                "causation_id": metadata.causation_id or metadata.command_id,
                "traceparent": metadata.traceparent,
                "actor": metadata.actor,
                "claimed_until": None,
                "published_at": None,
            }
            for version, event in enumerate(events, after + 1)
        ]
        work.write(self.statements.append, rows)

    def _event_id(self, aggregate_id: UUID, version: int, type_: str, command_id: str) -> UUID:
        """Name an event by its place, and by what made it: a restored log comes by its lost versions again (ADR 42)."""
        return uuid5(aggregate_id, f"{self.table.schema}/{version}/{type_}/{command_id}")

    def erase(self, work: UnitOfWork, aggregate_id: UUID, until: int) -> None:
        """Replace the personal fields of events up to a version, for good, when the unit of work commits.

        Versions, types, times and all other fields stay. The commands' fingerprints are hashes of personal content, so
        they are removed: a retry under the same key is then another command.

        Raises:
            UnknownEventType: a newer release wrote one of the events.
        """
        found = work.read(self.statements.history, {"id": aggregate_id, "after": 0, "until": until})
        rows = [
            {
                "at_sequence": row.sequence,
                "new_payload": self.codec.without_personal(envelope_of(row), ERASED).payload,
                "no_fingerprint": bytes(32),
            }
            for row in found
        ]
        work.write(self.statements.erase, rows, must_find=True)

    def has_appended(self, work: UnitOfWork) -> bool:
        """Tell whether a unit of work has events of this log to write."""
        return any(step is self.statements.append for step, _ in work.plan)

    def history(
        self, connection: sa.Connection, aggregate_id: UUID, after: int = 0, until: int = 2**62
    ) -> Sequence[Recorded[Event]]:
        """Read an aggregate's events with versions in (after, until], oldest first."""
        return [entry.recorded for entry in self.entries(connection, aggregate_id, after, until)]

    def entries(
        self, connection: sa.Connection, aggregate_id: UUID, after: int = 0, until: int = 2**62
    ) -> Sequence[Entry[Event]]:
        """Read the same events, each with the time of its publication."""
        rows = connection.execute(self.statements.history, {"id": aggregate_id, "after": after, "until": until}).all()
        return [Entry(self.codec.open(envelope_of(row)), row.published_at) for row in rows]

    def envelope(self, reader: sa.Engine, aggregate_id: UUID, version: int) -> Envelope | None:
        """Read one event with its payload still encoded; None if there is none."""
        place = {"id": aggregate_id, "after": version - 1, "until": version}
        rows = rows_of(reader, self.statements.history, place)
        return envelope_of(rows[0]) if rows else None

    def histories(self, connection: sa.Connection, aggregate_ids: Sequence[UUID]) -> dict[UUID, list[Recorded[Event]]]:
        """Read all events of some aggregates, oldest first; an aggregate without events is left out."""
        found: dict[UUID, list[Recorded[Event]]] = defaultdict(list)
        for row in connection.execute(self.statements.histories, {"ids": aggregate_ids}).all():
            found[row.aggregate_id].append(self.codec.open(envelope_of(row)))
        return found

    def newest(self, connection: sa.Connection) -> int:
        """Give the highest sequence that is visible; 0 in an empty log."""
        return connection.execute(self.statements.newest).scalar() or 0

    def version(self, connection: sa.Connection, aggregate_id: UUID) -> int:
        """Give the version that an aggregate is at; 0 if there is none."""
        return connection.execute(self.statements.version, {"id": aggregate_id}).scalar() or 0

    def first_of(self, command_id: str) -> tuple[sa.Select[Any], dict[str, Any]]:
        """Give the statement, and its parameters, that finds the command with this key, if one was accepted."""
        return self.statements.first_of_command, {"command": command_id}

    def first_answer(self, found: Sequence[sa.Row[Any]]) -> FirstAnswer | None:
        """Give the answer of the command that `first_of` has found."""
        if not found:
            return None
        [row] = found
        return FirstAnswer(row.command_fingerprint, Accepted(row.aggregate_id, row.version, replayed=True))

    def claim(
        self, connection: sa.Connection, now: datetime, until: datetime, most: int, settled: Settled | None = None
    ) -> Sequence[tuple[int, Envelope]]:
        """Claim unpublished events, with their sequences, in order; no other relay gets them until `until`.

        A claim on the oldest unpublished event of an aggregate counts for the whole aggregate: only the relay that
        holds it may publish the aggregate's events. It gets the first `AT_ONCE` of them. A later event becomes the
        oldest only when those before it are marked as published. So two relays never send an aggregate's events in the
        wrong order.

        A claim may end at most twice a claim's duration ahead, which allows for clocks that differ. One that ends later
        was made with a wrong clock, and is ignored, because its relay may be gone. If that relay still runs, both send
        the same events in the same order, and Service Bus drops the duplicates.

        Args:
            connection: of a transaction.
            now: the time.
            until: when the claim ends.
            most: aggregates to claim at most.
            settled: the outcome of the previous claim; it is recorded first, in the same request.
        """
        settled = settled or Settled()
        times = {"now": now, "until": until, "at_most": until + (until - now), "most": most}
        if connection.dialect.name == "mssql":
            parameters = {"rows": self._settling(settled)} | times
            rows = connection.execute(self.statements.claim_at_once, parameters).all()
        else:
            self.settle(connection, settled)
            cursor = sqlite_cursor(connection)
            heads = question(self.statements.claim).rows(cursor, times)
            ids = json.dumps([(head.aggregate_id.hex, head.aggregate_version) for head in heads])
            rows = question(self.statements.claimed).rows(cursor, {"heads": ids}) if heads else []
        return [(row.sequence, envelope_of(row)) for row in rows]

    def settle(self, connection: sa.Connection, settled: Settled) -> None:
        """Record the outcome of sending claimed events."""
        if connection.dialect.name == "mssql":
            connection.execute(self.statements.settle_at_once, {"rows": self._settling(settled)}).close()
            return
        cursor = sqlite_cursor(connection)
        try:
            self.statements.mark_published.run(cursor, settled.published_rows)
            self.statements.release.run(cursor, settled.released_rows)
        except sqlite3.Error as error:
            raise operational("settling claimed events", error) from error

    def _settling(self, settled: Settled) -> str:
        published = self.statements.mark_published.as_json(settled.published_rows)
        released = self.statements.release.as_json(settled.released_rows)
        return f'{{"published":{published},"released":{released}}}'

    def unpublished(self, connection: sa.Connection) -> tuple[int, datetime | None]:
        """Count the unpublished events, and give the time at which the oldest of them occurred."""
        row = connection.execute(self.statements.unpublished).one_or_none()
        return (0, None) if row is None else (row.events, row.occurred_at)


def envelope_of(row: sa.Row[Any]) -> Envelope:
    """Give the envelope in a row of a log."""
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
