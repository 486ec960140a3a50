"""A read model as those see it who operate it: how it follows from the event log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from shared.messaging.container import Container
from shared.platform.generations import Generations
from shared.platform.reading import Document


class Filled(NamedTuple):
    """What was done of filling a container.

    Attributes:
        position: where to go on; None when all is there.
        seen: documents that were written, or were there already.
        written: documents that were written.
        events: events that they were folded from.
    """

    position: str | None
    seen: int
    written: int
    events: int


class Changed(NamedTuple):
    """An event, and the document that it changes."""

    sequence: int
    version: int
    occurred_at: datetime
    document_id: str
    partition_key: str


class Difference(NamedTuple):
    """A document that is not what the log makes it.

    Attributes:
        what: in which way: `missing`, `behind`, or the names of the properties that differ.
    """

    document_id: str
    partition_key: str
    what: str


OWN = frozenset({"projected", "renames"})
"""Properties that tell of a document's own life, not of what it shows."""


def different(right: Document, stored: Document) -> str | None:
    """Name the properties in which a document is not what it has to be; None if it is."""
    return ", ".join(sorted(name for name in right.keys() - OWN if right[name] != stored.get(name))) or None


class Source(Protocol):
    """Where a view comes from: its context's event log, and what the context makes of it."""

    async def total(self) -> int:
        """Count the documents that the view has to have."""

    async def fill(self, container: Container, position: str | None) -> Filled:
        """Write the next documents that are not there yet, each once; safe to repeat, and beside the projection."""

    async def newest(self) -> int:
        """Give the sequence of the newest event; 0 if there is none."""

    async def changed(self, after: int, most: int) -> Sequence[Changed]:
        """Give the events after a sequence, in its order."""

    async def sample(self, count: int) -> Sequence[str]:
        """Choose some partition keys at random."""

    async def partition_of(self, id_: UUID) -> str | None:
        """Name the partition of what operators know by this id; None if the log knows nothing of it."""

    async def differences(self, container: Container, partition_key: str) -> Sequence[Difference]:
        """Compare a partition's documents with the fold of the log; what is merely on its way may be among them."""

    async def heal(self, container: Container, partition_key: str) -> None:
        """Make a partition's documents what the log makes them, beside the projection."""


@dataclass(frozen=True, slots=True)
class View:
    """One view, its containers and its source."""

    generations: Generations
    source: Source

    @property
    def name(self) -> str:
        """Its name, as operators know it."""
        return self.generations.view
