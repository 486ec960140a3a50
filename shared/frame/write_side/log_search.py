"""Searches a log for events by the ids that an operator may have; it reads no payloads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.frame.sql.columns import exact_text

SHOWN = (
    "sequence",
    "event_id",
    "aggregate_id",
    "aggregate_version",
    "type",
    "occurred_at",
    "command_id",
    "correlation_id",
    "causation_id",
    "traceparent",
    "actor",
    "published_at",
)
"""The columns that a search reads. The payload is not among them: it may have personal data."""

NEARBY = 2_000
"""Sequences on each side of a command's first event among which its others are: they come in one INSERT, in an order
that Azure SQL chooses, and other commands write at the same time."""


@dataclass(frozen=True, slots=True)
class Found:
    """An event without its payload.

    Attributes:
        sequence: its place in its log.
        published_at: when it was published; None if it is unpublished.
    """

    sequence: int
    event_id: UUID
    aggregate_id: UUID
    version: int
    type: str
    occurred_at: datetime
    command_id: str
    correlation_id: str
    causation_id: str
    traceparent: str | None
    actor: str
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class LogSearch:
    """The statements that search one log, built once; `found` reads their rows."""

    of_aggregate: sa.Select[Any]
    of_command: sa.Select[Any]
    among_newest: sa.Select[Any]


def log_search(log: sa.Table) -> LogSearch:
    """Build the search of a log."""
    return LogSearch(_of_aggregate(log), _of_command(log), _among_newest(log))


def found(row: sa.Row[Any]) -> Found:
    """Read a row that a search gives."""
    values = row._asdict()
    return Found(version=values.pop("aggregate_version"), **values)


def _of_aggregate(log: sa.Table) -> sa.Select[Any]:
    """Find an aggregate's events after a version, oldest first; by its index."""
    return (
        sa.select(*_shown(log))
        .where(
            log.c.aggregate_id == sa.bindparam("id", type_=sa.Uuid),
            log.c.aggregate_version > sa.bindparam("after", type_=sa.BigInteger),
        )
        .order_by(log.c.aggregate_version)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )


def _of_command(log: sa.Table) -> sa.Select[Any]:
    """Find a command's events of all aggregates: the first one by its index, the others near it.

    A key belongs to its caller, so it may be that of several commands: they are found with all their events.
    """
    command = sa.bindparam("command", type_=exact_text(255))
    first = log.alias("first")
    return (
        sa.select(*_shown(log))
        .where(
            first.c.command_id == command,
            first.c.command_fingerprint.is_not(None),
            log.c.command_id == command,
            log.c.actor == first.c.actor,
            log.c.sequence >= first.c.sequence - sa.literal_column(str(NEARBY)),
            log.c.sequence <= first.c.sequence + sa.literal_column(str(NEARBY)),
        )
        .order_by(log.c.sequence + sa.literal_column("0"))  # no order of an index: it begins at the key, not at the log
        .limit(sa.bindparam("most", type_=sa.Integer))
    )


def _among_newest(log: sa.Table) -> sa.Select[Any]:
    """Look through the newest sequences for an event by its id, or by its conversation, its command or its cause.

    None of these columns has an index, because every command would pay for it. So the search reads `reach` rows and no
    more. `canonical` is the id as this system writes UUIDs; callers choose keys and conversations as they like.
    """
    every = log.alias("every")
    newest = sa.select(sa.func.max(every.c.sequence)).scalar_subquery()
    texts = [sa.bindparam(name, type_=exact_text(255)) for name in ("text", "canonical")]
    return (
        sa.select(*_shown(log))
        .where(
            log.c.sequence > newest - sa.bindparam("reach", type_=sa.BigInteger),
            sa.or_(
                log.c.event_id == sa.bindparam("id", type_=sa.Uuid),
                *(
                    column == text
                    for column in (log.c.correlation_id, log.c.command_id, log.c.causation_id)
                    for text in texts
                ),
            ),
        )
        .order_by(log.c.sequence.desc())
        .limit(sa.bindparam("most", type_=sa.Integer))
    )


def _shown(log: sa.Table) -> list[sa.ColumnElement[Any]]:
    return [log.c[name] for name in SHOWN]
