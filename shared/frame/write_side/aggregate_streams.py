"""The aggregates of an event log, and their changes: read models are filled from these, and compared with them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Recorded
from shared.frame.messaging.event_types import ALL_EVENT_TYPES, EventTypes
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.log_table import envelope_of

BEHIND_ALL = sa.cast(sa.literal_column(str(2**63 - 1)), sa.BigInteger)
"""No sequence is higher. T-SQL takes the number alone for a NUMERIC, to which it would convert each row's sequence."""


STRETCH = 5_000
"""Sequences of a log that are looked through at a time, and its aggregates: events of the chosen types may be rare, and
no index has the types."""


LOOKED_AT = 10
"""Aggregates that are looked at for each that is wanted, where an aggregate may be of other types than the chosen."""


class StreamLength(NamedTuple):
    """An aggregate, and how many events it has."""

    aggregate_id: UUID
    events: int


class LogEntry[Event](NamedTuple):
    """An event's place in its log, and its aggregate's first event, which tells the document's partition."""

    sequence: int
    version: int
    occurred_at: datetime
    first: Recorded[Event]


class Statements(NamedTuple):
    """The statements of a log and the chosen types. Making them takes longer than reading some aggregates does."""

    newest_of_all: sa.Select[Any]
    event_there: sa.Select[Any]
    count_all: sa.Select[Any]
    some_lengths: sa.Select[Any]
    some_firsts: sa.Select[Any]
    entries_after: sa.Select[Any]
    next_of_all: sa.Select[Any]
    last_of_stretch: sa.Select[Any]
    last_old_of_stretch: sa.Select[Any]


@cache
def _statements(table: sa.Table, types: EventTypes) -> Statements:
    first, looked, young = table.alias("first"), table.alias("looked"), table.alias("young")
    first_version = sa.literal_column("1", sa.BigInteger)
    after, most = sa.bindparam("after", type_=sa.Uuid), sa.bindparam("most", type_=sa.Integer)
    behind, end = sa.bindparam("after", type_=sa.BigInteger), sa.bindparam("end", type_=sa.BigInteger)
    meant = types.conditions(table.c.type)
    length = (
        sa.select(sa.func.max(table.c.aggregate_version))
        .where(table.c.aggregate_id == looked.c.aggregate_id)
        .scalar_subquery()
    )
    looked_at = (
        sa.select(first.c.sequence)
        .where(first.c.aggregate_id >= after, first.c.aggregate_version == first_version)
        .order_by(first.c.aggregate_id)
        .limit(sa.bindparam("looked_at", type_=sa.Integer))
        .offset(0)  # without it, SQLAlchemy leaves ORDER BY out of a subquery for Azure SQL
        .subquery()
    )
    last_of_stretch = sa.select(sa.func.max(table.c.sequence)).where(table.c.sequence > behind, table.c.sequence < end)
    first_young = sa.select(sa.func.coalesce(sa.func.min(young.c.sequence), BEHIND_ALL)).where(
        young.c.sequence > behind,
        young.c.sequence < end,
        young.c.occurred_at > sa.bindparam("until", type_=table.c.occurred_at.type),
    )
    return Statements(
        newest_of_all=sa.select(sa.func.max(table.c.sequence)),
        event_there=sa.select(table.c.event_id).where(
            table.c.sequence == sa.bindparam("sequence", type_=sa.BigInteger)
        ),
        count_all=sa.select(sa.func.count())
        .select_from(table)
        .where(table.c.aggregate_version == first_version, *meant),
        some_lengths=sa.select(
            looked.c.aggregate_id,
            (sa.case((sa.and_(*types.conditions(looked.c.type)), length)) if meant else length).label("events"),
        )
        .where(looked.c.aggregate_id > after, looked.c.aggregate_version == first_version)
        .order_by(looked.c.aggregate_id)
        .limit(most),
        some_firsts=sa.select(table)
        .join(looked_at, looked_at.c.sequence == table.c.sequence)
        .where(*meant)
        .order_by(table.c.aggregate_id)
        .limit(most),
        entries_after=sa.select(
            first,
            table.c.sequence.label("its_sequence"),
            table.c.aggregate_version.label("its_version"),
            table.c.occurred_at.label("its_time"),
        )
        .select_from(
            table.join(
                first, sa.and_(first.c.aggregate_id == table.c.aggregate_id, first.c.aggregate_version == first_version)
            )
        )
        .where(table.c.sequence > behind, table.c.sequence <= sa.bindparam("upto", type_=sa.BigInteger), *meant)
        .order_by(table.c.sequence)
        .limit(most),
        next_of_all=sa.select(sa.func.min(table.c.sequence)).where(table.c.sequence > behind),
        last_of_stretch=last_of_stretch,
        last_old_of_stretch=last_of_stretch.where(table.c.sequence < first_young.scalar_subquery()),
    )


class AggregateStreams[Event]:
    """The aggregates of one log, or some of them, over a connection that the caller holds."""

    def __init__(self, log: EventLog[Event], event_types: EventTypes = ALL_EVENT_TYPES) -> None:
        """Prepare.

        Args:
            log: their log.
            event_types: the events of the chosen aggregates; an aggregate's events are either all of these types or
                none.
        """
        self.log = log
        types = event_types.with_earlier_versions(log.codec)
        self._statements = _statements(log.table, types)
        self._looked_at = 1 if types == ALL_EVENT_TYPES else LOOKED_AT

    def count(self, connection: sa.Connection) -> int:
        """Count the aggregates."""
        return int(connection.execute(self._statements.count_all).scalar_one())

    def newest(self, connection: sa.Connection) -> int:
        """Give the highest sequence of the log that is visible, of whichever event; 0 if there is none."""
        return connection.execute(self._statements.newest_of_all).scalar() or 0

    def event_at(self, connection: sa.Connection, sequence: int) -> UUID | None:
        """Give the id of the log's event with this sequence; None if it has none."""
        return connection.execute(self._statements.event_there, {"sequence": sequence}).scalar()

    def lengths(self, connection: sa.Connection, after: UUID, most: int) -> tuple[Sequence[StreamLength], UUID | None]:
        """Give aggregates behind an id, in the database's order of ids, and the id behind which others may be.

        Where the log has others as well, only its next aggregates are looked at, and none of them may be one of these.

        Returns:
            At most so many aggregates; and None for the id if the log has none behind `after`, of whichever types.
        """
        rows = connection.execute(self._statements.some_lengths, {"after": after, "most": most * self._looked_at}).all()
        found = [StreamLength(row.aggregate_id, row.events) for row in rows if row.events is not None]
        if len(found) > most:
            return found[:most], found[most - 1].aggregate_id
        return found, rows[-1].aggregate_id if rows else None

    def firsts(self, connection: sa.Connection, start: UUID, most: int) -> Sequence[Recorded[Event]]:
        """Give the first events of the aggregates from an id on, in the database's order of ids.

        Only the log's next `STRETCH` aggregates are looked at, whichever they are.
        """
        which = {"after": start, "most": most, "looked_at": STRETCH}
        return [self._opened(row) for row in connection.execute(self._statements.some_firsts, which)]

    def first(self, connection: sa.Connection, aggregate_id: UUID) -> Recorded[Event] | None:
        """Give an aggregate's first event; None if there is no such aggregate."""
        return next(iter(self.log.history(connection, aggregate_id, after=0, until=1)), None)

    def stretch(self, connection: sa.Connection, after: int, until: datetime | None = None) -> int | None:
        """Give the last sequence of the log's next stretch, of whichever event; None if there is no event in it.

        Args:
            connection: to the log.
            after: the sequence behind which the stretch begins; it ends `STRETCH` sequences behind its first event.
            until: ends it before the first event that occurred after this.
        """
        begin = connection.execute(self._statements.next_of_all, {"after": after}).scalar()
        if begin is None:
            return None
        which: dict[str, Any] = {"after": after, "end": begin + STRETCH}
        return (
            connection.execute(self._statements.last_of_stretch, which)
            if until is None
            else connection.execute(self._statements.last_old_of_stretch, {**which, "until": until})
        ).scalar()

    def changed(self, connection: sa.Connection, after: int, upto: int, most: int) -> Sequence[LogEntry[Event]]:
        """Give the entries behind a sequence, in its order. Only first events are opened: a later one may be newer.

        Args:
            connection: to the log.
            after: the sequence.
            upto: the last sequence that is looked at; what is looked through is not bounded otherwise.
            most: how many entries at most.
        """
        firsts: dict[UUID, Recorded[Event]] = {}
        found: list[LogEntry[Event]] = []
        for row in connection.execute(self._statements.entries_after, {"after": after, "upto": upto, "most": most}):
            first = firsts.get(row.aggregate_id) or firsts.setdefault(row.aggregate_id, self._opened(row))
            found.append(LogEntry(row.its_sequence, row.its_version, row.its_time, first))
        return found

    def _opened(self, row: sa.Row[Any]) -> Recorded[Event]:
        return self.log.codec.open(envelope_of(row))


EVENTS = 20_000
"""Events that are folded at once, unless one aggregate alone has more."""


def within_events[Row](rows: Iterable[Row], events: Sequence[int]) -> Sequence[Row]:
    """Give the first rows that have no more than `EVENTS` events together; always the first one."""
    sum_, enough = 0, list[Row]()
    for row, count in zip(rows, events, strict=True):
        sum_ += count
        if enough and sum_ > EVENTS:
            break
        enough.append(row)
    return enough
