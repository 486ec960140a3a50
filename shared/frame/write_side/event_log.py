"""The event log: one append-only table per context, written in the command's own transaction.

It is the audit trail, the source of rebuilt read models, the outbox that the relay publishes from, and the record that
makes commands idempotent: a command's answer follows from its events.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa

from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.envelope import Accepted, Envelope, Metadata, Recorded
from shared.frame.sql.columns import JsonText, exact_text, in_ids
from shared.frame.sql.reading import rows_of
from shared.frame.write_side.claims import Claims
from shared.frame.write_side.log_search import log_search
from shared.frame.write_side.log_table import envelope_of
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.frame.write_side.writes import Write, insert
from shared.kernel.personal import ERASED


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of a log itself, built once: building costs eight times what running a built one does."""

    append: Write
    erase: Write
    history: sa.Select[Any]
    histories: sa.Select[Any]
    version: sa.Select[Any]
    first_of_command: sa.Select[Any]


def _statements(log: sa.Table) -> Statements:
    first, last = log.alias("first"), log.alias("last")
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
        version=sa.select(sa.func.max(log.c.aggregate_version)).where(
            log.c.aggregate_id == sa.bindparam("id", type_=sa.Uuid)
        ),
        first_of_command=sa.select(
            first.c.aggregate_id,
            first.c.command_fingerprint,
            sa.select(sa.func.max(last.c.aggregate_version))
            .where(
                last.c.aggregate_id == first.c.aggregate_id,
                last.c.command_id == first.c.command_id,
                last.c.actor == first.c.actor,
            )
            .scalar_subquery()
            .label("version"),
        ).where(
            first.c.command_id == sa.bindparam("command", type_=exact_text(255)),
            first.c.actor == sa.bindparam("actor", type_=first.c.actor.type),
            first.c.command_fingerprint.is_not(None),
        ),
    )


@dataclass(frozen=True, slots=True)
class Entry[Event]:
    """An event in the log, and when it was published; None if it is unpublished."""

    recorded: Recorded[Event]
    published_at: datetime | None


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
        self.claims = Claims(table)
        self.search = log_search(table)

    def append(
        self, work: UnitOfWork, aggregate_id: UUID, after: int, events: Iterable[Event], metadata: Metadata
    ) -> None:
        """Add events to an aggregate at version `after` when the unit of work commits.

        A command that changes several aggregates answers with the first one whose events are added.

        Committing raises LostRace if another command has made one of these versions, or the actor has used this key.
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

    def version(self, connection: sa.Connection, aggregate_id: UUID) -> int:
        """Give the version that an aggregate is at; 0 if there is none."""
        return connection.execute(self.statements.version, {"id": aggregate_id}).scalar() or 0

    def first_of(self, command_id: str, actor: str) -> tuple[sa.Select[Any], dict[str, Any]]:
        """Give the statement, and its parameters, that finds the actor's command of this key, if one was accepted."""
        return self.statements.first_of_command, {"command": command_id, "actor": actor}

    def first_answer(self, found: Sequence[sa.Row[Any]]) -> FirstAnswer | None:
        """Give the answer of the command that `first_of` has found."""
        if not found:
            return None
        [row] = found
        return FirstAnswer(row.command_fingerprint, Accepted(row.aggregate_id, row.version, replayed=True))
