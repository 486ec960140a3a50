"""The source of a read model: its context's event log, which fills it while live events are projected.

The context says what a partition has to show (shared/frame/read_side/partitions.py). A partition is always consistent:
the projection and filling both write the documents of an aggregate, and those that aggregates share, in one batch.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Concatenate, NamedTuple
from uuid import UUID, uuid4

import sqlalchemy as sa

from shared.frame.messaging.envelope import Recorded
from shared.frame.messaging.event_types import ALL_EVENT_TYPES, EventTypes
from shared.frame.platform.threads import REBUILDING
from shared.frame.read_side.comparing import Comparison, Derived, Difference
from shared.frame.read_side.container import Container
from shared.frame.read_side.document_update import DocumentUpdate, document_id
from shared.frame.read_side.filling import BATCH_DOCUMENTS, fill_partition
from shared.frame.read_side.partitions import Fold, Partitions
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import Document
from shared.frame.read_side.shape import Shapes
from shared.frame.sql.reading import read_from
from shared.frame.write_side.aggregate_streams import AggregateStreams

PAGE = BATCH_DOCUMENTS
"""Aggregates that are folded at a time; those of one partition are written as one batch."""

AT_ONCE = 8
"""Partitions that are written at the same time."""


class Filled(NamedTuple):
    """How far a container has been filled.

    Attributes:
        position: where to continue; None when filling is complete.
        seen: documents that were written, or existed already.
        written: documents that were written.
        events: the events from which these were folded.
    """

    position: str | None
    seen: int
    written: int
    events: int


class ChangedDocument(NamedTuple):
    """An event, and the document that it changes."""

    sequence: int
    version: int
    occurred_at: datetime
    document_id: str
    partition_key: str


class LogSource[Event]:
    """The source of a view: its context's event log, and the fold that the context defines."""

    def __init__(
        self,
        reader: sa.Engine,
        projection: Projection[Event],
        partitions: Partitions[Event],
        project: Callable[[Recorded[Event]], DocumentUpdate],
        derived: Derived | None = None,
        event_types: EventTypes = ALL_EVENT_TYPES,
    ) -> None:
        self._reader = reader
        self._projection = projection
        self._partitions = partitions
        self._project = project
        self._derived = derived
        self._comparison = Comparison(reader, projection, partitions, derived)
        self._aggregates = AggregateStreams(partitions.log, event_types)

    async def total(self) -> int:
        """Count the documents that the view must have."""
        return await self._read(self._partitions.total)

    async def has_something_to_show(self) -> bool:
        """Tell whether the view must have any document at all."""
        return bool(await self._read(self._partitions.some, UUID(int=0), 1))

    def shapes_of(self, document: Document) -> Shapes:
        """Tell which kind of document one of the view's is."""
        return self._partitions.shapes_of(document)

    async def fill(self, container: Container, position: str | None) -> Filled:
        """Write the next missing documents, partition by partition, each once.

        It is safe to repeat, and to run beside the projection.
        """
        page, position = await self._read(self._partitions.next, position, PAGE)
        if not page:
            return Filled(position, 0, 0, 0)
        slots = asyncio.Semaphore(AT_ONCE)

        async def fill_one(fold: Fold[Event]) -> tuple[int, int, int]:
            async with slots:
                counts = await fill_partition(container, fold, self._partitions, self._projection)
                if self._derived is not None:
                    await self._derived.write(container, fold.partition_key)
                return counts

        done = await asyncio.gather(*(fill_one(fold) for fold in page))
        return Filled(position, *(sum(counts) for counts in zip(*done, strict=True)))

    async def newest(self) -> int:
        """Give the sequence of the log's newest event, whether or not the view shows it; 0 if there is none."""
        return await self._read(self._aggregates.newest)

    async def event_at(self, sequence: int) -> UUID | None:
        """Give the id of the event with this sequence; None if there is none."""
        return await self._read(self._aggregates.event_at, sequence)

    async def stretch(self, after: int, until: datetime | None = None) -> int | None:
        """Give the last sequence of the log's next stretch behind a sequence; None if there is no event in it.

        It has all events, also those that the view does not show. It ends before the first that occurred after `until`.
        """
        return await self._read(self._aggregates.stretch, after, until)

    async def changed(self, after: int, upto: int, most: int) -> Sequence[ChangedDocument]:
        """Give the view's events after a sequence, up to another one, in the sequence's order.

        Each comes with the document that counts its aggregate's versions. What lies in between is looked through as a
        whole: `stretch` tells how far that is cheap.
        """
        return await self._read(self._changed, after, upto, most)

    async def sample(self, count: int) -> Sequence[str]:
        """Choose some partition keys at random: neighbours of a random id; fewer where what the view shows is rare."""
        return await self._read(self._sample, count)

    async def partition_of(self, id_: UUID) -> str | None:
        """Name the partition of the thing with this id; None if the log has nothing with it."""
        return await self._read(self._partitions.key_of, id_)

    async def differences(self, container: Container, partition_key: str) -> Sequence[Difference]:
        """Compare a partition's documents with the fold of the log.

        Events that are still on their way may show as differences.
        """
        return await self._comparison.differences(container, partition_key)

    async def heal(self, container: Container, partition_key: str) -> None:
        """Make a partition's documents what the log makes them, beside the projection."""
        await self._comparison.heal(container, partition_key)

    def _changed(self, connection: sa.Connection, after: int, upto: int, most: int) -> Sequence[ChangedDocument]:
        keys: dict[UUID, tuple[str, str]] = {}
        found: list[ChangedDocument] = []
        for sequence, version, occurred_at, first in self._aggregates.changed(connection, after, upto, most):
            id_ = first.envelope.aggregate_id
            if id_ not in keys:
                change = self._project(first)
                keys[id_] = document_id(change.gate), change.partition_key
            found.append(ChangedDocument(sequence, version, occurred_at, *keys[id_]))
        return found

    def _sample(self, connection: sa.Connection, count: int) -> Sequence[str]:
        starts = (uuid4(), UUID(int=0))  # after the last partition, continue with the first
        keys = [key for start in starts for key in self._partitions.some(connection, start, count)]
        return list(dict.fromkeys(keys))[:count]

    async def _read[**Arguments, Result](
        self,
        question: Callable[Concatenate[sa.Connection, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        return await REBUILDING.run(read_from, self._reader, lambda connection: question(connection, *args, **kwargs))
