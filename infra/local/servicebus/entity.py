"""A queue with its locks and sessions; a subscription and a dead-letter queue are queues too.

A queue without sessions is one lane of messages, a queue with sessions has a lane for each session id. A lane hands out
its messages in the order of their sequence numbers, also those that come back.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

from infra.local.servicebus import errors
from infra.local.servicebus.message import Content, Message, State
from infra.local.servicebus.store import Store

_SESSION_ID_IS_NULL: Final = (
    "Session ID is null",
    "Session enabled entity doesn't allow a message whose session identifier is null.",
)
_EXPIRED: Final = ("TTLExpiredException", "The message expired and was dead lettered.")
"""Reasons and descriptions: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-dead-letter-queues."""

_STALE_EXPIRIES: Final = 1000
"""Entries of messages long gone that the heap of expiries may carry before it is made anew."""


class Holder(Protocol):
    """Who holds a session."""

    def session_lost(self) -> None:
        """Told that the session's lock has run out."""


class DeadLetters(Protocol):
    """Where a queue puts what it gives up on."""

    def __call__(self, content: Content, delivery_count: int, properties: dict[str, Any]) -> None:
        """Keep the content, with the properties that tell why."""


@dataclass(slots=True, eq=False)
class Lane:
    """The messages of one session, or of a queue without sessions (session id None).

    Attributes:
        ready: a heap of the sequence numbers that may be delivered.
        held: lock tokens of the deliveries under way.
        holder: who has locked the session.
        locked_until: when the session's lock runs out, milliseconds since 1970.
    """

    session_id: str | None
    ready: list[int] = field(default_factory=list)
    held: set[UUID] = field(default_factory=set)
    holder: Holder | None = None
    locked_until: int = 0


class Queue:
    """A queue, a subscription or a dead-letter queue."""

    def __init__(
        self,
        path: str,
        store: Store,
        now: Callable[[], int],
        *,
        sessions: bool = False,
        lock_duration: int = 60_000,
        time_to_live: int | None = None,
        max_delivery_count: int | None = None,
        dead_letter_expired: bool = False,
        expires: bool = True,
    ) -> None:
        """Make a queue that is empty until it is loaded.

        Args:
            path: the address, for example `orders/Subscriptions/views`.
            store: where the messages are kept.
            now: milliseconds since 1970.
            sessions: messages are grouped, and delivered group by group.
            lock_duration: how long a delivery or a session stays locked, milliseconds.
            time_to_live: the longest life of a message, milliseconds; None is for ever.
            max_delivery_count: failed deliveries after which a message is given up; None is never.
            dead_letter_expired: an expired message is dead-lettered, not dropped.
            expires: False in a dead-letter queue, where time to live is not observed.
        """
        self.path = path
        self.sessions = sessions
        self.lock_duration = lock_duration
        self.dead_letters: DeadLetters | None = None
        self.woken: set[str | None] = set()
        self._time_to_live = time_to_live
        self._expires = expires
        self._max_delivery_count = max_delivery_count
        self._dead_letter_expired = dead_letter_expired
        self._store = store
        self._now = now
        self.key = store.entity(path)
        self._messages: dict[int, Message] = {}
        self._lanes: dict[str | None, Lane] = {}
        self._available: dict[str | None, None] = {}  # sessions with ready messages that nobody holds, oldest first
        self._locks: dict[UUID, Message] = {}  # in the order in which they run out, as all last equally long
        self._session_locks: dict[str | None, Lane] = {}  # likewise
        self._expiries: list[tuple[int, int]] = []  # heap of (expires at, sequence), stale entries included

    def load(self) -> None:
        """Read what an earlier process left; `resume` must follow when every queue has been loaded."""
        for row in self._store.messages(self.key):
            self._messages[row.sequence] = Message(
                row=row.row,
                sequence=row.sequence,
                content=Content(row.content),
                enqueued_at=row.enqueued_at,
                expires_at=row.expires_at,
                delivery_count=row.delivery_count,
                state=State(row.state),
            )

    def resume(self) -> None:
        """Offer the loaded messages, giving up those whose last delivery died with the earlier process."""
        for message in list(self._messages.values()):
            self._admit(message)

    def enqueue(self, content: Content, *, delivery_count: int = 0) -> None:
        """Append a message; one without a session id in a queue of sessions is dead-lettered."""
        if self.sessions and content.session_id is None:
            self.refuse(content, *_SESSION_ID_IS_NULL)
            return
        now = self._now()
        lives = [ttl for ttl in (content.ttl, self._time_to_live) if ttl is not None]
        expires_at = now + min(lives) if lives and self._expires else None
        sequence = self._store.next_sequence(self.key)
        row = self._store.insert(
            self.key, sequence, content.raw, now, expires_at=expires_at, delivery_count=delivery_count
        )
        message = Message(row, sequence, content, now, expires_at, delivery_count)
        self._messages[sequence] = message
        self._admit(message)

    def refuse(self, content: Content, reason: str, description: str) -> None:
        """Dead-letter a message that must not come in."""
        if self.dead_letters is not None:
            self.dead_letters(content, 0, dead_letter_properties(reason, description))

    def take(self, session_id: str | None, *, settled: bool) -> Message | None:
        """Deliver the next message of a lane: lock it, or remove it if the receiver wants it settled."""
        lane = self._lanes.get(session_id)
        while lane and lane.ready:
            message = self._messages.get(heapq.heappop(lane.ready))
            if message is None or self._drop_if_expired(message):
                continue
            if settled:
                self._remove(message)
            else:
                self._lock(message, lane)
            return message
        return None

    # Settlement

    def holding(self, token: UUID) -> Message:
        """Return the message that a lock token names.

        Raises:
            ServiceBusError: the lock is lost.
        """
        message = self._locks.get(token)
        if message is None or message.locked_until <= self._now():
            raise errors.message_lock_lost()
        return message

    def complete(self, token: UUID) -> None:
        """Remove a message that was dealt with."""
        self._remove(self._unlock(self.holding(token)))

    def abandon(self, token: UUID, properties: dict[str, Any] | None = None) -> None:
        """Give a message back; the delivery counts as failed."""
        message = self._unlock(self.holding(token))
        self._modify(message, properties)
        self._fail(message)

    def release(self, token: UUID) -> None:
        """Give a message back that was never looked at; the delivery does not count."""
        message = self._unlock(self.holding(token))
        self._store.set_delivery_count(message.row, message.delivery_count)
        self._make_ready(message)

    def defer(self, token: UUID, properties: dict[str, Any] | None = None) -> None:
        """Set a message aside, to be fetched by its sequence number."""
        message = self._unlock(self.holding(token))
        self._modify(message, properties)
        message.delivery_count += 1
        message.state = State.DEFERRED
        self._store.set_state(message.row, message.state)

    def dead_letter(
        self, token: UUID, reason: str | None, description: str | None, properties: dict[str, Any] | None = None
    ) -> None:
        """Move a message to the dead-letter queue.

        Raises:
            ServiceBusError: the lock is lost, or this is a dead-letter queue itself.
        """
        message = self.holding(token)
        if self.dead_letters is None:
            raise errors.not_allowed(f"'{self.path}' is a dead-letter queue; its messages cannot be dead-lettered.")
        message.delivery_count += 1
        self._dead_letter(message, reason, description, properties)

    def renew(self, token: UUID) -> int:
        """Prolong a lock; returns when it now runs out."""
        message = self.holding(token)
        if not self.sessions:
            message.locked_until = self._now() + self.lock_duration
            self._locks[token] = self._locks.pop(token)
        return message.locked_until

    def take_deferred(self, sequences: list[int], session_id: str | None, *, settled: bool) -> list[Message]:
        """Deliver deferred messages by their numbers.

        Raises:
            ServiceBusError: one of them is not there, not deferred or already held.
        """
        found = []
        for sequence in sequences:
            message = self._messages.get(sequence)
            if message is None or message.state is not State.DEFERRED or message.lock_token is not None:
                raise errors.message_not_found(sequence)
            if self.sessions and message.content.session_id != session_id:
                raise errors.message_not_found(sequence)
            found.append(message)
        for message in found:
            if settled:
                self._remove(message)
            else:
                self._lock(message, self._lane(message))
        return found

    def peek(self, from_sequence: int, session_id: str | None) -> Iterator[Message]:
        """Yield messages from a number on, whatever their state, without locking them."""
        for sequence in sorted(number for number in self._messages if number >= from_sequence):
            message = self._messages[sequence]
            if session_id is None or message.content.session_id == session_id:
                yield message

    # Sessions

    def accept_session(self, session_id: str | None, holder: Holder) -> Lane | None:
        """Lock a session for a holder: the one named, or (None) the next that has messages.

        Returns:
            The lane, or None if no session is available.

        Raises:
            ServiceBusError: the session named is held by somebody else.
        """
        if session_id is None:
            session_id = self._next_available()
            if session_id is None:
                return None
        lane = self._lanes.setdefault(session_id, Lane(session_id))
        if lane.holder is not None:
            raise errors.session_cannot_be_locked(session_id)
        lane.holder = holder
        lane.locked_until = self._now() + self.lock_duration
        self._session_locks[session_id] = lane
        self._available.pop(session_id, None)
        return lane

    def has_available_session(self) -> bool:
        """Tell whether `accept_session(None, ...)` would find one."""
        return self._next_available() is not None

    def holder(self, session_id: str | None) -> Holder | None:
        """Return who holds a session."""
        lane = self._session_locks.get(session_id)
        return None if lane is None else lane.holder

    def held_session(self, session_id: str) -> Lane:
        """Return a session that is locked.

        Raises:
            ServiceBusError: nobody holds it.
        """
        lane = self._session_locks.get(session_id)
        if lane is None:
            raise errors.session_lock_lost(session_id)
        return lane

    def renew_session(self, session_id: str) -> int:
        """Prolong a session's lock and those of its messages; returns when it now runs out."""
        lane = self.held_session(session_id)
        lane.locked_until = self._now() + self.lock_duration
        self._session_locks[session_id] = self._session_locks.pop(session_id)
        for token in lane.held:
            self._locks[token].locked_until = lane.locked_until
        return lane.locked_until

    def release_session(self, session_id: str | None, holder: Holder) -> None:
        """End a holder's lock, if it still has it; deliveries under way do not count as failed."""
        lane = self._session_locks.get(session_id)
        if lane is not None and lane.holder is holder:
            for token in list(lane.held):
                self.release(token)
            self._free(lane)

    def session_state(self, session_id: str) -> bytes | None:
        """Return what an application left on a session."""
        return self._store.session_state(self.key, session_id)

    def set_session_state(self, session_id: str, state: bytes | None) -> None:
        """Keep what an application leaves on a session."""
        self._store.set_session_state(self.key, session_id, state)

    # The passing of time

    def tick(self) -> None:
        """Give up locks that have run out and messages whose time to live has ended."""
        now = self._now()
        for lane in _while_due(self._session_locks.values(), now):
            holder = lane.holder
            for token in list(lane.held):
                self._fail(self._unlock(self._locks[token]))
            self._free(lane)
            if holder is not None:
                holder.session_lost()
        if not self.sessions:
            for message in _while_due(self._locks.values(), now):
                self._fail(self._unlock(message))
        while self._expiries and self._expiries[0][0] <= now:
            old = self._messages.get(heapq.heappop(self._expiries)[1])
            if old is not None and not old.lock_token:
                self._drop_if_expired(old)
        if len(self._expiries) > 2 * len(self._messages) + _STALE_EXPIRIES:
            self._expiries = [entry for entry in self._expiries if entry[1] in self._messages]
            heapq.heapify(self._expiries)

    # Internals

    def _admit(self, message: Message) -> None:
        if message.expires_at is not None:
            heapq.heappush(self._expiries, (message.expires_at, message.sequence))
        if not self._give_up_if_spent(message) and message.state is State.ACTIVE:
            self._make_ready(message)

    def _lane(self, message: Message) -> Lane:
        session_id = message.content.session_id if self.sessions else None
        return self._lanes.setdefault(session_id, Lane(session_id))

    def _lock(self, message: Message, lane: Lane) -> None:
        message.lock_token = uuid4()
        message.locked_until = lane.locked_until if self.sessions else self._now() + self.lock_duration
        self._locks[message.lock_token] = message
        lane.held.add(message.lock_token)
        # On disk the delivery counts from its start, so that one which dies with this process has been counted.
        self._store.set_delivery_count(message.row, message.delivery_count + 1)

    def _unlock(self, message: Message) -> Message:
        if message.lock_token is not None:
            del self._locks[message.lock_token]
            self._lane(message).held.discard(message.lock_token)
            message.lock_token = None
        return message

    def _fail(self, message: Message) -> None:
        message.delivery_count += 1
        if not self._drop_if_expired(message) and not self._give_up_if_spent(message):
            self._make_ready(message)

    def _give_up_if_spent(self, message: Message) -> bool:
        if self._max_delivery_count is None or message.delivery_count < self._max_delivery_count:
            return False
        description = f"Message could not be consumed after {message.delivery_count} delivery attempts."
        self._dead_letter(message, "MaxDeliveryCountExceeded", description)
        return True

    def _drop_if_expired(self, message: Message) -> bool:
        if message.expires_at is None or message.expires_at > self._now():
            return False
        if self._dead_letter_expired and self.dead_letters is not None:
            self._dead_letter(message, *_EXPIRED)
        else:
            self._remove(message)
        return True

    def _make_ready(self, message: Message) -> None:
        if message.state is not State.ACTIVE:
            return
        lane = self._lane(message)
        heapq.heappush(lane.ready, message.sequence)
        self.woken.add(lane.session_id)
        if self.sessions and lane.holder is None:
            self._available[lane.session_id] = None

    def _modify(self, message: Message, properties: dict[str, Any] | None) -> None:
        if properties:
            message.content = message.content.modified(properties)
            self._store.set_content(message.row, message.content.raw)

    def _dead_letter(
        self,
        message: Message,
        reason: str | None,
        description: str | None,
        properties: dict[str, Any] | None = None,
    ) -> None:
        self._remove(message)
        if self.dead_letters is not None:
            reasons = dead_letter_properties(reason, description)
            self.dead_letters(message.content, message.delivery_count, (properties or {}) | reasons)

    def _remove(self, message: Message) -> None:
        self._unlock(message)
        self._store.delete(message.row)
        del self._messages[message.sequence]
        self._forget_if_idle(self._lane(message))

    def _free(self, lane: Lane) -> None:
        del self._session_locks[lane.session_id]
        lane.holder = None
        if lane.ready:
            self._available[lane.session_id] = None
            self.woken.add(lane.session_id)
        self._forget_if_idle(lane)

    def _next_available(self) -> str | None:
        """Return the session that has waited longest, passing over those whose messages have expired meanwhile."""
        for session_id in list(self._available):
            lane = self._lanes.get(session_id)
            if lane is not None:
                self._forget_if_idle(lane)
            if session_id in self._available:
                return session_id
        return None

    def _forget_if_idle(self, lane: Lane) -> None:
        while lane.ready and lane.ready[0] not in self._messages:
            heapq.heappop(lane.ready)
        if not lane.ready and not lane.held and lane.holder is None:
            self._lanes.pop(lane.session_id, None)
            self._available.pop(lane.session_id, None)


def dead_letter_properties(reason: str | None, description: str | None) -> dict[str, Any]:
    """Return the application properties that tell why a message was dead-lettered, as far as that is known."""
    told = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
    return {name: value for name, value in told.items() if value is not None}


class _Due(Protocol):
    locked_until: int


def _while_due[T: _Due](ordered: Iterable[T], now: int) -> list[T]:
    """Return the leading items whose locks have run out."""
    due = []
    for item in ordered:
        if item.locked_until > now:
            break
        due.append(item)
    return due
