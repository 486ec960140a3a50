"""Queues: a process works on the same aggregate one command after the other, first come, first served."""

import threading
from collections import deque
from collections.abc import Hashable


class Turn:
    """A turn in a queue; the first one is being served."""

    def __init__(self, queues: "AggregateQueues", key: Hashable) -> None:
        self._queues = queues
        self._key = key
        self._served = threading.Lock()
        self._served.acquire()

    def leave(self) -> None:
        """Leave the queue, so that the next turn is served."""
        self._queues.leave(self._key, self)

    def wait(self, seconds: float) -> bool:
        """Wait to be served; False if the time ran out before."""
        return self._served.acquire(timeout=max(0.0, seconds))

    def serve(self) -> None:
        """Serve this turn."""
        self._served.release()


class AggregateQueues:
    """A queue for each aggregate, by its key."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[Turn]] = {}
        self._lock = threading.Lock()

    def stand(self, key: Hashable, seconds: float) -> Turn | None:
        """Take a turn and wait until it is served; after so many seconds give it up, and answer None."""
        turn = Turn(self, key)
        with self._lock:
            queue = self._queues.setdefault(key, deque())
            queue.append(turn)
            if len(queue) == 1:
                return turn
        if turn.wait(seconds):
            return turn
        self.leave(key, turn)
        return None

    def leave(self, key: Hashable, turn: Turn) -> None:
        """Remove a turn from its queue; if it was the first, serve the next."""
        with self._lock:
            queue = self._queues[key]
            was_first = queue[0] is turn
            queue.remove(turn)
            if not queue:
                del self._queues[key]
            elif was_first:
                queue[0].serve()
