"""A read model that can be made anew: how it is filled from the event log, compared with it, and healed."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from shared.frame.read_side.container import Container
from shared.frame.read_side.generations import Generations
from shared.frame.read_side.read_your_writes import Document
from shared.frame.read_side.shape import Shapes


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


class Difference(NamedTuple):
    """A document that differs from what the log makes of it.

    Attributes:
        what: how it differs: `missing`, `behind`, `left over`, or the names of the properties that differ.
        home: the partition that was compared, if the document is in another one.
    """

    document_id: str
    partition_key: str
    what: str
    home: str | None = None

    @property
    def compared(self) -> str:
        """The partition that was compared, and can be healed."""
        return self.home or self.partition_key


UNREADABLE = "shape"
"""Reported for a document in a shape that this release cannot read."""


def different(shapes: Shapes, right: Document, stored: Document, own: AbstractSet[str]) -> str | None:
    """Name the properties in which a document is wrong; `shape` if it cannot be read; None if it is right.

    The properties in `own` are not compared: they tell of the document's history, not of what it shows.
    """
    if not shapes.reads(stored):
        return UNREADABLE
    shown = shapes.read(stored)
    return ", ".join(sorted(name for name in right.keys() - own if right[name] != shown.get(name))) or None


class Source(Protocol):
    """The source of a view: its context's event log, and the fold that the context defines."""

    async def total(self) -> int:
        """Count the documents that the view must have."""

    async def has_something_to_show(self) -> bool:
        """Tell whether the view must have any document at all."""

    def shapes_of(self, document: Document) -> Shapes:
        """Tell which kind of document one of the view's is."""

    async def fill(self, container: Container, position: str | None) -> Filled:
        """Write the next missing documents, each once; safe to repeat, and to run beside the projection."""

    async def newest(self) -> int:
        """Give the sequence of the newest event; 0 if there is none."""

    async def event_at(self, sequence: int) -> UUID | None:
        """Give the id of the event with this sequence; None if there is none."""

    async def changed(self, after: int, most: int, until: datetime | None = None) -> Sequence[ChangedDocument]:
        """Give the events after a sequence, in its order, up to the first that occurred after `until`."""

    async def sample(self, count: int) -> Sequence[str]:
        """Choose some partition keys at random."""

    async def partition_of(self, id_: UUID) -> str | None:
        """Name the partition of the thing with this id; None if the log has nothing with it."""

    async def differences(self, container: Container, partition_key: str) -> Sequence[Difference]:
        """Compare a partition's documents, and its aggregates' documents in other partitions, with the fold of the log.

        Events that are still on their way may show as differences.
        """

    async def heal(self, container: Container, partition_key: str) -> None:
        """Make a partition's documents what the log makes them, beside the projection."""


class Derived(Protocol):
    """Documents in other partitions that are made of one partition's documents alone."""

    def home(self, document_id: str, partition_key: str) -> str:
        """Name the partition of whose documents a derived document is made; for any other document, its own."""

    async def write(self, container: Container, partition_key: str) -> None:
        """Write them from the partition as it is now, unless they are up to date; in any order, and concurrently."""

    async def differences(self, container: Container, partition_key: str) -> Sequence[Difference]:
        """Give those that differ from what the partition makes of them, each with the key of that partition."""

    async def heal(self, container: Container, partition_key: str) -> None:
        """Write those that differ again."""


@dataclass(frozen=True, slots=True)
class View:
    """One view, its containers and its source."""

    generations: Generations
    source: Source

    @property
    def name(self) -> str:
        """Its name, as operators know it."""
        return self.generations.view
