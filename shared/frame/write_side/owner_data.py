"""An export of all events of one owner, context by context, in pages.

A position is no authorisation. For each page, the contexts look up the owner's aggregates again, so a forged position
cannot lead to another owner's data.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Self
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Recorded
from shared.frame.sql.reading import read_from
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.unit_of_work import LONGEST_TIMEOUT
from shared.kernel.refusals import InputError, Invalid

MAX_EVENTS, MAX_CHARACTERS = 500, 1_000_000
"""Events, and bytes of payloads, in one page; a single event may have more."""

PAGE_SECONDS = 2.0
"""Seconds after which a page ends before its next statement, even without an event, if the next page begins elsewhere
than this one. A statement itself has `LONGEST_TIMEOUT`."""

BATCH = 50
"""Events that are read at once: of those with a hundred lines, 5 MB."""

POSITION = "^[a-z][a-z0-9_]{0,29}/[0-9a-f]{32}/[0-9a-f]{32}/[0-9]{1,9}$"
"""The format of an `ExportPosition` as text; a context's name has at most thirty characters."""

type AggregatesOf = Callable[[sa.Connection, UUID, UUID], Sequence[UUID]]
"""Gives the next ids of an owner's aggregates after an id, in the database's order of ids; nothing at the end."""

type StreamsOf = Callable[[UUID], Sequence[UUID]]
"""Gives the ids under which the log has the events of an aggregate, always in the same order."""

_NONE = UUID(int=0)


@dataclass(frozen=True, slots=True)
class OwnerData:
    """A context's data of owners.

    Attributes:
        context: the context's name.
        log: its event log.
        reader: reads the log.
        aggregates: finds an owner's aggregates.
        streams: finds the streams of an aggregate in the log.
        busy: tells whether work for an owner is under way.
    """

    context: str
    log: EventLog[Any]
    reader: sa.Engine
    aggregates: AggregatesOf
    streams: StreamsOf
    busy: Callable[[sa.Connection, UUID], bool] | None = None


@dataclass(frozen=True, slots=True)
class ExportPosition:
    """The position where a page ended.

    Attributes:
        context: the context whose log was read last.
        done: the last aggregate that was read to its end.
        begun: the stream of the next aggregate that was read in part.
        version: the last version of it that was read.
    """

    context: str
    done: UUID = _NONE
    begun: UUID = _NONE
    version: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text that `str` made; it has the format POSITION."""
        context, done, begun, version = text.split("/")
        return cls(context, UUID(done), UUID(begun), int(version))

    def __str__(self) -> str:
        return f"{self.context}/{self.done.hex}/{self.begun.hex}/{self.version}"


@dataclass(frozen=True, slots=True)
class OwnerEvent:
    """An event, and the context whose log has it."""

    context: str
    recorded: Recorded[Any]


def has_open_work(owner_data: Sequence[OwnerData], owner_id: UUID) -> bool:
    """Tell whether work for an owner is under way in any context."""

    def has_open_work_in(each: OwnerData) -> bool:
        busy = each.busy
        return busy is not None and read_from(each.reader, lambda connection: busy(_hasty(connection), owner_id))

    return any(map(has_open_work_in, owner_data))


def has_events(owner_data: OwnerData, aggregate_id: UUID) -> bool:
    """Tell whether a context's log has events of an aggregate."""
    return read_from(owner_data.reader, lambda connection: owner_data.log.version(_hasty(connection), aggregate_id)) > 0


def page_of(
    owner_data: Sequence[OwnerData], owner_id: UUID, after: ExportPosition | None, most: int
) -> tuple[list[OwnerEvent], ExportPosition | None]:
    """Read the next events of an owner, and give the position where they end; None if there are no more.

    Raises:
        Invalid: the position names a context that holds no data of owners.
    """
    if after is not None and after.context not in {each.context for each in owner_data}:
        wrong = "should be the `next` of a page of this very list"
        raise Invalid("The request is not valid; see errors.", [InputError("/cursor", wrong, "query")])
    page: list[OwnerEvent] = []
    characters, last, end = 0, after, monotonic() + PAGE_SECONDS
    for event, position in _events(owner_data, owner_id, after):
        if event is None:
            if position != after and monotonic() >= end:
                return page, position
            continue
        if page and (len(page) == most or characters >= MAX_CHARACTERS):
            return page, last
        page.append(event)
        characters += len(event.recorded.envelope.payload)
        last = position
    return page, None


def _events(
    owner_data: Sequence[OwnerData], owner_id: UUID, after: ExportPosition | None
) -> Iterator[tuple[OwnerEvent | None, ExportPosition]]:
    """Yield an owner's events, each with the position after it, and (None, position) before each SQL statement.

    So the caller can stop before the next statement.
    """
    start = 0 if after is None else [each.context for each in owner_data].index(after.context)
    for number, each in enumerate(owner_data[start:]):
        position = after if after is not None and number == 0 else ExportPosition(each.context)
        yield None, position
        while aggregates := _aggregates(each, owner_id, position.done):
            for aggregate_id in aggregates:
                for stream in _streams(each, aggregate_id, position.begun):
                    begun = ExportPosition(
                        each.context, position.done, stream, position.version if stream == position.begun else 0
                    )
                    yield None, begun
                    while history := _history(each, stream, begun.version):
                        for recorded in history:
                            begun = replace(begun, version=recorded.envelope.version)
                            yield OwnerEvent(each.context, recorded), begun
                        if len(history) < BATCH:
                            break
                        yield None, begun
                position = ExportPosition(each.context, aggregate_id)
            yield None, position


def _aggregates(owner_data: OwnerData, owner_id: UUID, after: UUID) -> Sequence[UUID]:
    return read_from(owner_data.reader, lambda connection: owner_data.aggregates(_hasty(connection), owner_id, after))


def _streams(owner_data: OwnerData, aggregate_id: UUID, begun: UUID) -> Sequence[UUID]:
    """Give the streams of an aggregate, without those before one that was begun."""
    streams = owner_data.streams(aggregate_id)
    return streams[streams.index(begun) :] if begun in streams else streams


def _history(owner_data: OwnerData, stream: UUID, after: int) -> Sequence[Recorded[Any]]:
    return read_from(
        owner_data.reader, lambda connection: owner_data.log.history(_hasty(connection), stream, after, after + BATCH)
    )


def _hasty(connection: sa.Connection) -> sa.Connection:
    return connection.execution_options(statement_timeout=LONGEST_TIMEOUT)
