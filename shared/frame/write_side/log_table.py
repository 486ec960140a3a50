"""The table of an event log, and what its rows say."""

from typing import Any

import sqlalchemy as sa

from shared.frame.messaging.envelope import Envelope
from shared.frame.sql.columns import JsonText, UtcDateTime, exact_text


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
        sa.Column("actor", exact_text(255), nullable=False),
        sa.Column("claimed_until", UtcDateTime),
        sa.Column("published_at", UtcDateTime),
        # event_id follows from both of these and from what made the event, and so needs no index of its own
        sa.UniqueConstraint("aggregate_id", "aggregate_version", name="uq_event_log_aggregate_version"),
    )
    for name, columns, unique, where in (
        # of each actor: nobody can use up another's keys
        ("uq_event_log_command_actor", ["command_id", "actor"], True, "command_fingerprint IS NOT NULL"),
        ("ix_event_log_unpublished", ["sequence"], False, "published_at IS NULL"),
    ):
        only = sa.text(where)
        sa.Index(name, *(table.c[column] for column in columns), unique=unique, mssql_where=only, sqlite_where=only)
    return table


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
