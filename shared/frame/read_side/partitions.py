"""The partitions of a read model as folded from the event log: `LogSource` fills and compares them.

If each document is made of the events of one aggregate, as the projection applies them, a context need not write
anything: see OfAggregates. A context whose documents combine several aggregates defines how to fold a partition: a
Fold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Recorded
from shared.frame.messaging.event_types import ALL_EVENT_TYPES, EventTypes
from shared.frame.read_side.document_update import DocumentUpdate, applied, document_id, gated
from shared.frame.read_side.read_your_writes import Document
from shared.frame.read_side.shape import Shapes
from shared.frame.write_side.aggregate_streams import AggregateStreams, within_events
from shared.frame.write_side.event_log import EventLog

type History[Event] = Sequence[Recorded[Event]]
"""An aggregate's events, oldest first."""

type Own = Mapping[str, dict[str, Any]]
"""The documents of one aggregate alone, by id."""


class Fold[Event](Protocol):
    """A partition, and the histories of some of the aggregates that it shows, or of all.

    A document's `version` says up to which version it shows its aggregate. A document without one is at the version of
    its gate, which is the document that counts the aggregate's versions. Folding a shorter history gives the documents
    as they were at that version.
    """

    @property
    def partition_key(self) -> str:
        """The partition's key."""

    @property
    def histories(self) -> Sequence[History[Event]]:
        """The histories, none of them empty."""

    @property
    def begins(self) -> bool:
        """Whether filling begins with this partition, and so makes its shared documents."""

    def gate(self, history: History[Event]) -> str:
        """Name the document in the partition that counts an aggregate's versions."""

    def own(self, history: History[Event]) -> Own:
        """Make the documents of one aggregate alone."""

    def shared(
        self, histories: Sequence[History[Event]], before: Mapping[str, Document]
    ) -> Mapping[str, dict[str, Any]]:
        """Make the shared documents of several aggregates, by id: new ones, or the stored ones with these added."""

    def refresh(self, document: dict[str, Any]) -> bool:
        """Update a document of `own` with data that is not in its events; tell whether it was outdated."""


class Partitions[Event](Protocol):
    """The partitions of a read model, over a connection that the caller holds.

    Attributes:
        log: the log from which they are folded.
        counter: the property that healing increments: it counts changes that no event made.
        combined: the properties of shared documents that follow from several aggregates. They are compared only if the
        whole partition was read at one moment.
    """

    log: EventLog[Event]
    counter: str
    combined: frozenset[str]

    def shapes_of(self, document: Document) -> Shapes:
        """Tell which kind of document one is."""

    def shared_ids(self, partition_key: str) -> Sequence[str]:
        """Give the ids of the documents of a partition that are made of several aggregates."""

    def total(self, connection: sa.Connection) -> int:
        """Count the documents that there have to be."""

    def some(self, connection: sa.Connection, start: UUID, count: int) -> Sequence[str]:
        """Give the keys of some partitions, from an id on."""

    def key_of(self, connection: sa.Connection, id_: UUID) -> str | None:
        """Give the key of the partition of the thing with this id; None if the log has nothing with it."""

    def next(
        self, connection: sa.Connection, position: str | None, most: int
    ) -> tuple[Sequence[Fold[Event]], str | None]:
        """Read the next histories, of which there may be none, and give the position behind them.

        The position is None if all have been read.
        """

    def one(self, connection: sa.Connection, partition_key: str, most: int) -> Fold[Event] | None:
        """Read at most so many histories of a partition; None if the log has none."""


@dataclass(frozen=True, slots=True)
class AsProjected[Event]:
    """A fold that applies in memory what the projection sends, aggregate by aggregate."""

    partition_key: str
    histories: Sequence[History[Event]]
    project: Callable[[Recorded[Event]], DocumentUpdate]
    begins: bool = False

    def gate(self, history: History[Event]) -> str:
        """Give the id of the document that the first event makes."""
        return document_id(self.project(history[0]).gate)

    def own(self, history: History[Event]) -> Own:
        """Make the documents that projecting these events makes."""
        return as_projected(self.project, history)

    def shared(
        self,
        histories: Sequence[History[Event]],  # noqa: ARG002
        before: Mapping[str, Document],  # noqa: ARG002
    ) -> Mapping[str, dict[str, Any]]:
        """Give nothing: no document is made of several aggregates."""
        return {}

    def refresh(self, document: dict[str, Any]) -> bool:  # noqa: ARG002
        """Change nothing: all data of a document is in its events."""
        return False


class OfAggregates[Event]:
    """Partitions whose documents are each made of one aggregate: the projection and the log are enough to fold them."""

    counter = "healed"
    combined: frozenset[str] = frozenset()

    def __init__(
        self,
        log: EventLog[Event],
        project: Callable[[Recorded[Event]], DocumentUpdate],
        shapes: Shapes,
        aggregates_in: Callable[[sa.Connection, str, int], Sequence[UUID]] | None = None,
        event_types: EventTypes = ALL_EVENT_TYPES,
    ) -> None:
        """Prepare.

        Args:
            log: the context's event log.
            project: makes the document update of an event.
            shapes: the shapes of the documents.
            aggregates_in: gives the ids of the aggregates in a partition, by its key, and at most so many; by default
            the one id at the key's end.
            event_types: the events that are shown; an aggregate's events are either all of these types or none.
        """
        self.log = log
        self._aggregates = AggregateStreams(log, event_types)
        self._project = project
        self._shapes = shapes
        self._aggregates_in = aggregates_in or _named_by_the_key

    def shapes_of(self, document: Document) -> Shapes:  # noqa: ARG002
        """Give the same for all."""
        return self._shapes

    def shared_ids(self, partition_key: str) -> Sequence[str]:  # noqa: ARG002
        """Give none."""
        return ()

    def total(self, connection: sa.Connection) -> int:
        """Count the aggregates."""
        return self._aggregates.count(connection)

    def some(self, connection: sa.Connection, start: UUID, count: int) -> Sequence[str]:
        """Give the keys of the partitions of some aggregates."""
        return [self._project(first).partition_key for first in self._aggregates.firsts(connection, start, count)]

    def key_of(self, connection: sa.Connection, id_: UUID) -> str | None:
        """Give the key of an aggregate's partition."""
        first = self._aggregates.first(connection, id_)
        return None if first is None else self._project(first).partition_key

    def next(
        self, connection: sa.Connection, position: str | None, most: int
    ) -> tuple[Sequence[AsProjected[Event]], str | None]:
        """Read the aggregates after the last one that was looked at."""
        found, last = self._aggregates.lengths(connection, UUID(position or str(UUID(int=0))), most)
        ids = [length.aggregate_id for length in within_events(found, [length.events for length in found])]
        if len(ids) < len(found):
            last = ids[-1]
        histories = self.log.histories(connection, ids)
        return [self._fold([histories[id_]]) for id_ in ids], None if last is None else str(last)

    def one(self, connection: sa.Connection, partition_key: str, most: int) -> AsProjected[Event] | None:
        """Read the aggregates of a partition."""
        ids = self._aggregates_in(connection, partition_key, most)
        histories = self.log.histories(connection, ids)
        return self._fold([histories[id_] for id_ in ids if id_ in histories]) if histories else None

    def _fold(self, histories: Sequence[History[Event]]) -> AsProjected[Event]:
        return AsProjected(self._project(histories[0][0]).partition_key, histories, self._project)


def as_projected[Event](project: Callable[[Recorded[Event]], DocumentUpdate], history: History[Event]) -> Own:
    """Fold an aggregate's events into the documents that the projection makes."""
    made: dict[str, dict[str, Any]] = {}
    for version, recorded in enumerate(history, 1):
        change = project(recorded)
        for step in (gated(change.gate, version, datetime.now(UTC)), *change.others):
            id_ = document_id(step)
            made[id_] = applied(made.get(id_), step)
    return made


def _named_by_the_key(_connection: sa.Connection, partition_key: str, _most: int) -> Sequence[UUID]:
    return [UUID(partition_key.rpartition(":")[2])]
