"""A queue with its locks and sessions; a subscription and a dead-letter queue are queues too.

Memory has the data that deliveries need, the store has the data that must survive; every change is made in both.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

from servicebus_engine import errors
from servicebus_engine.lanes import Holder, Lane, Lanes, run_out
from servicebus_engine.message import Content, Message, State
from servicebus_engine.store import Store

_SESSION_ID_IS_NULL: Final = (
    "Session ID is null",
    "Session enabled entity doesn't allow a message whose session identifier is null.",
)
_EXPIRED: Final = ("TTLExpiredException", "The message expired and was dead lettered.")
"""Reasons and descriptions: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-dead-letter-queues."""

_LONGEST_REASON: Final = 4096
"""Characters in a reason or a description; .NET's client sends no longer ones (its MaxDeadLetterReasonLength)."""

_STALE_EXPIRIES: Final = 1000
"""Entries of messages long gone that the heap of expiries may carry before it is made anew."""


class DeadLetters(Protocol):
    """Takes the messages that a queue gives up on."""

    def __call__(self, content: Content, delivery_count: int, properties: dict[str, Any]) -> None:
        """Keep the content, with the properties that tell why."""


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
            store: keeps the messages.
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
        self._time_to_live = time_to_live
        self._expires = expires
        self._max_delivery_count = max_delivery_count
        self._dead_letter_expired = dead_letter_expired
        self._store = store
        self._now = now
        self.key = store.entity(path)
        self._messages: dict[int, Message] = {}
        self._locks: OrderedDict[UUID, Message] = OrderedDict()  # as they run out: all last equally long
        self._lanes = Lanes(lock_duration, self._messages.__contains__)
        self._expiries: list[tuple[int, int]] = []  # heap of (expires at, sequence), stale entries included

    def load(self) -> None:
        """Read the messages of an earlier process; `resume` must follow when every queue has been loaded."""
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
        longest = self._time_to_live
        if self._expires and longest is not None and (content.ttl is None or content.ttl > longest):
            content = content.with_ttl(longest)
        expires_at = now + content.ttl if self._expires and content.ttl is not None else None
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
        if self.sessions and lane.locked_until <= self._now():
            return None
        while (sequence := self._lanes.take(lane)) is not None:
            message = self._messages[sequence]
            if self._drop_if_expired(message):
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
        message = self.holding(token)
        self._modify(message, properties)
        self._fail(self._unlock(message))

    def release(self, token: UUID) -> None:
        """Give a message back that was never looked at; the delivery does not count."""
        self._release(self.holding(token))

    def defer(self, token: UUID, properties: dict[str, Any] | None = None) -> None:
        """Set a message aside, to be fetched by its sequence number."""
        message = self.holding(token)
        self._modify(message, properties)
        self._unlock(message)
        message.delivery_count += 1
        message.state = State.DEFERRED
        self._store.set_state(message.row, message.state)

    def dead_letter(
        self, token: UUID, reason: str | None, description: str | None, properties: dict[str, Any] | None = None
    ) -> None:
        """Move a message to the dead-letter queue.

        Raises:
            ServiceBusError: the lock is lost, this is a dead-letter queue itself, or something given is too long.
        """
        message = self.holding(token)
        if self.dead_letters is None:
            raise errors.not_allowed(f"'{self.path}' is a dead-letter queue; its messages cannot be dead-lettered.")
        reasons = dead_letter_properties(reason, description)
        for name, given in reasons.items():
            if len(given) > _LONGEST_REASON:
                raise errors.invalid_argument(
                    f"The {name} has {len(given)} characters; at most {_LONGEST_REASON} are allowed."
                )
        message.content.modified((properties or {}) | reasons).check_limits()
        message.delivery_count += 1
        self._dead_letter(message, reason, description, properties)

    def renew(self, token: UUID) -> int:
        """Prolong a lock; returns when it now runs out."""
        message = self.holding(token)
        if not self.sessions:
            message.locked_until = self._now() + self.lock_duration
            self._locks.move_to_end(token)
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
            ServiceBusError: another receiver holds the named session.
        """
        if session_id is None:
            available = self._lanes.next_available()
            session_id = available.session_id if available else None
        return None if session_id is None else self._lanes.lock(session_id, holder, self._now())

    def has_available_session(self) -> bool:
        """Tell whether `accept_session(None, ...)` would find one."""
        return self._lanes.next_available() is not None

    def woken(self) -> set[str | None]:
        """Return the sessions (None: the queue) that have got messages to deliver since the last call."""
        woken, self._lanes.woken = self._lanes.woken, set()
        return woken

    def holder(self, session_id: str | None) -> Holder | None:
        """Return the holder of a session."""
        lane = self._lanes.locked(session_id)
        return lane.holder if lane else None

    def renew_session(self, session_id: str) -> int:
        """Prolong a session's lock and those of its messages; returns when it now runs out.

        Raises:
            ServiceBusError: the lock is lost.
        """
        lane = self._lanes.locked(session_id)
        if lane is None or lane.locked_until <= self._now():
            raise errors.session_lock_lost(session_id)
        self._lanes.renew(lane, self._now())
        for token in lane.held:
            self._locks[token].locked_until = lane.locked_until
        return lane.locked_until

    def release_session(self, session_id: str | None, holder: Holder) -> None:
        """End a holder's lock, if it still has it; deliveries under way do not count as failed."""
        lane = self._lanes.locked(session_id)
        if lane is not None and lane.holder is holder:
            for token in list(lane.held):
                self._release(self._locks[token])
            self._lanes.unlock(lane)

    def session_state(self, session_id: str) -> bytes | None:
        """Return a session's state, which the application has set."""
        return self._store.session_state(self.key, session_id)

    def set_session_state(self, session_id: str, state: bytes | None) -> None:
        """Set a session's state."""
        self._store.set_session_state(self.key, session_id, state)

    # The passing of time

    def tick(self) -> None:
        """Give up locks that have run out and messages whose time to live has ended."""
        now = self._now()
        for lane in self._lanes.run_out(now):
            holder = lane.holder
            for token in list(lane.held):
                self._fail(self._unlock(self._locks[token]))
            self._lanes.unlock(lane)
            if holder is not None:
                holder.session_lost()
        if not self.sessions:
            for message in run_out(self._locks.values(), now):
                self._fail(self._unlock(message))
        while self._expiries and self._expiries[0][0] <= now:
            old = self._messages.get(heapq.heappop(self._expiries)[1])
            if old is not None and old.lock_token is not None:
                heapq.heappush(self._expiries, (old.locked_until + 1, old.sequence))  # a lock outlasts the time to live
            elif old is not None:
                self._drop_if_expired(old)
        if len(self._expiries) > 2 * len(self._messages) + _STALE_EXPIRIES:
            self._expiries = [entry for entry in self._expiries if entry[1] in self._messages]
            heapq.heapify(self._expiries)

    # Internals

    def _admit(self, message: Message) -> None:
        if message.expires_at is not None:
            heapq.heappush(self._expiries, (message.expires_at, message.sequence))
        if message.state is State.ACTIVE and not self._give_up_if_spent(message):
            self._make_ready(message)

    def _lane(self, message: Message) -> Lane:
        return self._lanes.get(message.content.session_id if self.sessions else None)

    def _release(self, message: Message) -> None:
        self._unlock(message)
        self._store.set_delivery_count(message.row, message.delivery_count)
        self._make_ready(message)

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
        if message.state is State.ACTIVE:
            self._lanes.offer(message.content.session_id if self.sessions else None, message.sequence)

    def _modify(self, message: Message, properties: dict[str, Any] | None) -> None:
        if properties:
            message.content = message.content.modified(properties).check_limits()
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
        self._lanes.forget_if_idle(self._lane(message))


def dead_letter_properties(reason: str | None, description: str | None) -> dict[str, str]:
    """Return the application properties that tell why a message was dead-lettered, as far as that is known."""
    told = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
    return {name: value for name, value in told.items() if value is not None}
