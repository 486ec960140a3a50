"""The base of all aggregates: an aggregate changes by recording events, and can be folded from its events."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Self

from shared.kernel.refusals import ClosedForChanges

MAX_CHANGES = 10_000
"""Events after which an aggregate is closed for changes. Its log is read in pages, its document has a time for each
event (140 KB by then), and healing a read model folds all its events: none of these may grow without a limit."""


class Aggregate[Event](ABC):
    """A consistency boundary whose state is the fold of its events.

    Attributes:
        version: the number of events so far; the first event makes version 1.
        pending_events: the events recorded since it was loaded, not yet saved.
    """

    def __init__(self) -> None:
        self.version = 0
        self.pending_events: list[Event] = []

    @property
    def loaded_version(self) -> int:
        """The version that the store held when this aggregate was loaded; 0 for a new one."""
        return self.version - len(self.pending_events)

    @classmethod
    def fold(cls, events: Iterable[Event]) -> Self:
        """Rebuild an aggregate from all its events, oldest first."""
        aggregate = cls()
        for event in events:
            aggregate._apply(event)
            aggregate.version += 1
        return aggregate

    def _record(self, event: Event) -> None:
        """Let a change happen.

        A verb that has begun is carried out, so that an aggregate is unchanged when it refuses: several events of one
        verb may go a little beyond the limit.

        Raises:
            ClosedForChanges: there have been as many as there may be.
        """
        self._require_open()
        self._record_past_limit(event)

    def _record_past_limit(self, event: Event) -> None:
        """Let a step of its life happen, which the limit does not hold up: there are few of them by themselves."""
        self._apply(event)
        self.version += 1
        self.pending_events.append(event)

    def _require_open(self) -> None:
        """Refuse changes beyond the limit; raises as _record does."""
        if self.loaded_version >= MAX_CHANGES:
            raise ClosedForChanges(
                f"It has been changed {self.loaded_version:,} times, and takes no further changes; at most "
                f"{MAX_CHANGES:,} are taken."
            )

    @abstractmethod
    def _apply(self, event: Event) -> None:
        """Change the state as the event says; never refuses, for the event has happened."""
