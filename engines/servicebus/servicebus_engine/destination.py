"""Destinations of messages: the entrance of a queue or a topic."""

import heapq
from collections.abc import Callable, Iterator, Sequence

from servicebus_engine import errors
from servicebus_engine.message import Content, Message, State
from servicebus_engine.store import Store


class Destination:
    """The entrance of a queue or a topic: duplicate detection and scheduled messages."""

    def __init__(
        self,
        path: str,
        store: Store,
        now: Callable[[], int],
        deliver: Callable[[Content], None],
        *,
        sessions: bool,
        duplicate_window: int | None,
    ) -> None:
        """Make an entrance.

        Args:
            path: the address.
            store: keeps scheduled messages and the history of message ids.
            now: milliseconds since 1970.
            deliver: takes a message in once it is due.
            sessions: every message must have a session id.
            duplicate_window: how long a message id is remembered, milliseconds; None is not at all.
        """
        self.path = path
        self._key = store.entity(path)
        self._store = store
        self._now = now
        self._deliver = deliver
        self._sessions = sessions
        self._duplicate_window = duplicate_window
        self._scheduled: dict[int, Message] = {}
        self._due: list[tuple[int, int]] = []  # heap of (due at, sequence), cancelled entries included

    def load(self) -> None:
        """Read the scheduled messages that an earlier process left."""
        for row in self._store.messages(self._key, scheduled=True):
            self._remember(row.row, row.sequence, Content(row.content), row.enqueued_at, row.due_at or 0)

    def publish(self, contents: Sequence[Content]) -> None:
        """Take all messages of one transfer, or none of them.

        Raises:
            ServiceBusError: one of them cannot be taken.
        """
        self._check(contents)
        now = self._now()
        for content in contents:
            if self._is_duplicate(content):
                continue
            if content.scheduled_at is not None and content.scheduled_at > now:
                self._schedule(content, content.scheduled_at)
            else:
                self._deliver(content)

    def schedule(self, contents: Sequence[Content]) -> list[int]:
        """Keep messages until they are due.

        Returns:
            Their sequence numbers, by which they can be cancelled; that of a duplicate names no message.

        Raises:
            ServiceBusError: one of them cannot be taken.
        """
        self._check(contents)
        numbers = []
        for content in contents:
            if self._is_duplicate(content):
                numbers.append(self._store.next_sequence(self._key))
            else:
                numbers.append(self._schedule(content, content.scheduled_at or self._now()))
        return numbers

    def cancel(self, sequences: Sequence[int]) -> None:
        """Forget scheduled messages.

        Raises:
            ServiceBusError: one of them is not scheduled (any more); then none is cancelled.
        """
        for sequence in sequences:
            if sequence not in self._scheduled:
                raise errors.message_not_found(sequence)
        for sequence in sequences:
            self._store.delete(self._scheduled.pop(sequence).row)
        self._due = [entry for entry in self._due if entry[1] in self._scheduled]
        heapq.heapify(self._due)

    def scheduled(self, from_sequence: int) -> Iterator[Message]:
        """Yield the scheduled messages from a number on."""
        for sequence in sorted(number for number in self._scheduled if number >= from_sequence):
            yield self._scheduled[sequence]

    def tick(self) -> None:
        """Deliver due messages, as if they were sent now, and forget old message ids."""
        now = self._now()
        while self._due and self._due[0][0] <= now:
            message = self._scheduled.pop(heapq.heappop(self._due)[1])
            self._store.delete(message.row)
            self._deliver(message.content)
        if self._duplicate_window is not None:
            self._store.forget_duplicates(self._key, now - self._duplicate_window)

    def _check(self, contents: Sequence[Content]) -> None:
        if self._sessions and any(content.session_id is None for content in contents):
            raise errors.not_allowed(
                f"'{self.path}' requires sessions, and the SessionId was not set on a message.",
            )

    def _is_duplicate(self, content: Content) -> bool:
        if self._duplicate_window is None or content.message_id is None:
            return False
        return not self._store.first_sight(self._key, content.message_id, self._now())

    def _schedule(self, content: Content, due_at: int) -> int:
        now = self._now()
        sequence = self._store.next_sequence(self._key)
        row = self._store.insert(self._key, sequence, content.raw, now, due_at=due_at, state=State.SCHEDULED)
        self._remember(row, sequence, content, now, due_at)
        return sequence

    def _remember(self, row: int, sequence: int, content: Content, enqueued_at: int, due_at: int) -> None:
        self._scheduled[sequence] = Message(row, sequence, content, enqueued_at, state=State.SCHEDULED)
        heapq.heappush(self._due, (due_at, sequence))
