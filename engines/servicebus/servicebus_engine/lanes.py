"""The order in which a queue hands out messages, and who holds which session.

A queue without sessions is one lane of messages; a queue with sessions has a lane for each session id. A lane hands out
its messages in the order of their sequence numbers, also those that come back.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from servicebus_engine import errors


class Holder(Protocol):
    """Who holds a session."""

    def session_lost(self) -> None:
        """Told that the session's lock has run out."""


class Locked(Protocol):
    """What is locked until a moment, milliseconds since 1970."""

    locked_until: int


@dataclass(slots=True, eq=False)
class Lane:
    """The messages of one session, or of a queue without sessions (session id None).

    Attributes:
        ready: a heap of the sequence numbers that may be delivered; some may have gone meanwhile.
        held: lock tokens of the deliveries under way.
        holder: who has locked the session.
        locked_until: when the session's lock runs out, milliseconds since 1970.
    """

    session_id: str | None
    ready: list[int] = field(default_factory=list)
    held: set[UUID] = field(default_factory=set)
    holder: Holder | None = None
    locked_until: int = 0


class Lanes:
    """The lanes of a queue. A lane that nobody holds and that has no messages takes no memory.

    Attributes:
        woken: session ids of lanes that have got something to deliver since the broker last looked.
    """

    def __init__(self, lock_duration: int, exists: Callable[[int], bool]) -> None:
        """Start without lanes.

        Args:
            lock_duration: how long a session stays locked, milliseconds.
            exists: tells whether a sequence number still names a message of the queue.
        """
        self.woken: set[str | None] = set()
        self._lock_duration = lock_duration
        self._exists = exists
        self._lanes: dict[str | None, Lane] = {}
        self._available: OrderedDict[str | None, Lane] = OrderedDict()  # unlocked and not empty, oldest first
        self._locked: OrderedDict[str | None, Lane] = OrderedDict()  # in the order in which the locks run out

    def get(self, session_id: str | None) -> Lane:
        """Return a lane, empty if it is new."""
        return self._lanes.setdefault(session_id, Lane(session_id))

    def offer(self, session_id: str | None, sequence: int) -> None:
        """Put a message where its number belongs."""
        lane = self.get(session_id)
        heapq.heappush(lane.ready, sequence)
        self._became_ready(lane)

    def take(self, lane: Lane) -> int | None:
        """Return the lowest number of a lane, and remove it."""
        self._drop_stale(lane)
        return heapq.heappop(lane.ready) if lane.ready else None

    def next_available(self) -> Lane | None:
        """Return the session that has waited longest for a holder."""
        while self._available:
            lane = next(iter(self._available.values()))
            self.forget_if_idle(lane)
            if lane.ready:
                return lane
        return None

    def lock(self, session_id: str, holder: Holder, now: int) -> Lane:
        """Lock a session.

        Raises:
            ServiceBusError: somebody else holds it.
        """
        if session_id in self._locked:
            raise errors.session_cannot_be_locked(session_id)
        lane = self.get(session_id)
        lane.holder = holder
        lane.locked_until = now + self._lock_duration
        self._locked[session_id] = lane
        self._available.pop(session_id, None)
        return lane

    def locked(self, session_id: str | None) -> Lane | None:
        """Return a lane whose session is locked."""
        return self._locked.get(session_id)

    def renew(self, lane: Lane, now: int) -> None:
        """Prolong the lock of a session."""
        lane.locked_until = now + self._lock_duration
        self._locked.move_to_end(lane.session_id)

    def unlock(self, lane: Lane) -> None:
        """End the lock of a session."""
        del self._locked[lane.session_id]
        lane.holder = None
        if lane.ready:
            self._became_ready(lane)
        self.forget_if_idle(lane)

    def run_out(self, now: int) -> list[Lane]:
        """Return the sessions whose locks have run out."""
        return run_out(self._locked.values(), now)

    def forget_if_idle(self, lane: Lane) -> None:
        """Let a lane go that nobody holds and that has no messages."""
        self._drop_stale(lane)
        if not lane.ready and not lane.held and lane.holder is None:
            self._lanes.pop(lane.session_id, None)
        if not lane.ready:
            self._available.pop(lane.session_id, None)

    def _became_ready(self, lane: Lane) -> None:
        self.woken.add(lane.session_id)
        if lane.session_id is not None and lane.holder is None:
            self._available[lane.session_id] = lane

    def _drop_stale(self, lane: Lane) -> None:
        while lane.ready and not self._exists(lane.ready[0]):
            heapq.heappop(lane.ready)


def run_out[T: Locked](ordered: Iterable[T], now: int) -> list[T]:
    """Return the leading items whose locks have run out."""
    due = []
    for item in ordered:
        if item.locked_until > now:
            break
        due.append(item)
    return due
