"""What all aggregates share: they change by recording events, and can be folded from them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Self


class Aggregate[Event](ABC):
    """A consistency boundary whose state is the fold of its events.

    Attributes:
        version: the number of events so far; the first event makes version 1.
        changes: the events recorded since it was loaded, not yet saved.
    """

    def __init__(self) -> None:
        self.version = 0
        self.changes: list[Event] = []

    @property
    def loaded_version(self) -> int:
        """The version that the store held when this aggregate was loaded; 0 for a new one."""
        return self.version - len(self.changes)

    @classmethod
    def fold(cls, events: Iterable[Event]) -> Self:
        """Rebuild an aggregate from all its events, oldest first."""
        aggregate = cls()
        for event in events:
            aggregate._apply(event)
            aggregate.version += 1
        return aggregate

    def _record(self, event: Event) -> None:
        self._apply(event)
        self.version += 1
        self.changes.append(event)

    @abstractmethod
    def _apply(self, event: Event) -> None:
        """Change the state as the event says; never refuses, for the event has happened."""
