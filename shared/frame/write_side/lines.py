"""Waiting lines: a process works on the same aggregate one command after the other, first come, first served."""

import threading
from collections import deque
from collections.abc import Hashable


class Place:
    """A place in a line; the first place is being served."""

    def __init__(self, lines: "Lines", key: Hashable) -> None:
        self._lines = lines
        self._key = key
        self._served = threading.Lock()
        self._served.acquire()

    def leave(self) -> None:
        """Leave the line, so that the next place is served."""
        self._lines.leave(self._key, self)

    def wait(self, seconds: float) -> bool:
        """Wait to be served; False if the time ran out before."""
        return self._served.acquire(timeout=max(0.0, seconds))

    def serve(self) -> None:
        """Serve this place."""
        self._served.release()


class Lines:
    """A line for each key."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, deque[Place]] = {}
        self._lock = threading.Lock()

    def stand(self, key: Hashable, seconds: float) -> Place | None:
        """Take a place and wait until it is served; after so many seconds give it up, and answer None."""
        place = Place(self, key)
        with self._lock:
            line = self._lines.setdefault(key, deque())
            line.append(place)
            if len(line) == 1:
                return place
        if place.wait(seconds):
            return place
        self.leave(key, place)
        return None

    def leave(self, key: Hashable, place: Place) -> None:
        """Remove a place from its line; if it was the first, serve the next."""
        with self._lock:
            line = self._lines[key]
            was_first = line[0] is place
            line.remove(place)
            if not line:
                del self._lines[key]
            elif was_first:
                line[0].serve()
