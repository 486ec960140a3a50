"""The claims of relays on a log's unpublished events: how many relays publish one log, each aggregate in order."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from shared.frame.messaging.envelope import Envelope
from shared.frame.sql.columns import UtcDateTime
from shared.frame.sql.sqlite import operational, question, sqlite_cursor
from shared.frame.write_side.log_table import envelope_of
from shared.frame.write_side.writes import Row, Write, written

_READPAST = "WITH (READPAST, UPDLOCK, ROWLOCK, READCOMMITTEDLOCK)"
"""Skips what another relay is claiming. READPAST asks for READCOMMITTEDLOCK under READ_COMMITTED_SNAPSHOT, which is how
Azure SQL makes databases (Microsoft's page of table hints)."""

PER_AGGREGATE = 200
"""Events of one aggregate that a claim takes at most; 10,000 of them may wait. The next claim goes on."""

_SETTLED = sa.bindparam("rows", type_=sa.Unicode)


@dataclass(frozen=True, slots=True)
class Statements:
    """Every statement of claims on one log, built once."""

    claim: sa.Update
    claimed: sa.TextualSelect
    claim_at_once: sa.TextualSelect
    settle_at_once: sa.TextualSelect
    mark_published: Write
    release: Write
    unpublished: sa.Select[Any]


def _statements(log: sa.Table) -> Statements:
    claim, mark_published, release = _claim(log), _mark_published(log), _release(log)
    settling = f"""\
SET NOCOUNT ON;
DECLARE @rows NVARCHAR(MAX) = :rows;
{mark_published.tsql("published")}
{release.tsql("released")}"""
    return Statements(
        claim=claim,
        claimed=_claimed(log),
        claim_at_once=_claim_at_once(log, settling, claim),
        settle_at_once=sa.text(settling)
        .bindparams(_SETTLED)
        .columns(sa.column("nothing")),  # or types are not declared
        mark_published=mark_published,
        release=release,
        unpublished=_unpublished(log),
    )


def _claim(log: sa.Table) -> sa.Update:
    head, before = log.alias("head"), log.alias("before")
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
    return (
        sa.update(log)
        .where(log.c.sequence.in_(heads))
        .values(claimed_until=sa.bindparam("until", type_=UtcDateTime))
        .returning(log.c.aggregate_id, log.c.aggregate_version)
    )


def _mark_published(log: sa.Table) -> Write:
    return Write(
        sa.update(log)
        .where(log.c.sequence == sa.bindparam("at_sequence", type_=log.c.sequence.type))
        .values(published_at=sa.bindparam("published_at", type_=UtcDateTime), claimed_until=sa.null())
    )


def _release(log: sa.Table) -> Write:
    return Write(
        sa.update(log)
        .where(log.c.sequence == sa.bindparam("at_sequence", type_=log.c.sequence.type), log.c.published_at.is_(None))
        .values(claimed_until=sa.bindparam("claimed_until", type_=UtcDateTime))
    )


def _unpublished(log: sa.Table) -> sa.Select[Any]:
    """Both parts use the index of unpublished events, however long the outbox is."""
    waiting, oldest = log.alias("waiting"), log.alias("oldest")
    return (
        sa.select(
            sa.select(sa.func.count()).where(waiting.c.published_at.is_(None)).scalar_subquery().label("events"),
            oldest.c.occurred_at,
        )
        .where(oldest.c.published_at.is_(None))
        .order_by(oldest.c.sequence)
        .limit(1)
    )


def _columns(log: sa.Table) -> str:
    return ", ".join(f"events.{column.name}" for column in log.c)


def _claimed(log: sa.Table) -> sa.TextualSelect:
    """On SQLite: read the claimed events, and the next ones of the same aggregates."""
    return sa.text(f"""\
SELECT {_columns(log)} FROM {log.fullname} AS events JOIN json_each(:heads) AS head
ON events.aggregate_id = head.value ->> 0
AND events.aggregate_version >= head.value ->> 1 AND events.aggregate_version < (head.value ->> 1) + {PER_AGGREGATE}
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
AND events.aggregate_version >= head.aggregate_version \
AND events.aggregate_version < head.aggregate_version + {PER_AGGREGATE}
ORDER BY events.sequence;"""  # noqa: S608  # as above
    return sa.text(text).bindparams(_SETTLED, *parameters).columns(*log.c)


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


class Claims:
    """The claims on one log, over a connection that the caller's transaction holds."""

    def __init__(self, log: sa.Table) -> None:
        self.statements = _statements(log)

    def claim(
        self, connection: sa.Connection, now: datetime, until: datetime, most: int, settled: Settled | None = None
    ) -> Sequence[tuple[int, Envelope]]:
        """Claim unpublished events, with their sequences, in order; no other relay gets them until `until`.

        A claim on the oldest unpublished event of an aggregate counts for the whole aggregate: only the relay that
        holds it may publish the aggregate's events. It gets the first `PER_AGGREGATE` of them. A later event becomes
        the oldest only when those before it are marked as published. So two relays never send an aggregate's events in
        the wrong order.

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
