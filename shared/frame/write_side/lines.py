"""Those of one process who want the same thing stand in line for it: who came first is served first."""

import threading
from collections import deque
from collections.abc import Hashable


class Place:
    """A place in a line; whoever has the first one is being served."""

    def __init__(self, lines: "Lines", key: Hashable) -> None:
        self._lines = lines
        self._key = key
        self._served = threading.Lock()
        self._served.acquire()

    def leave(self) -> None:
        """Be done: it is the next one's turn."""
        self._lines.leave(self._key, self)

    def wait(self, seconds: float | None) -> bool:
        """Wait to be served, and tell whether that came in time."""
        return self._served.acquire(timeout=-1 if seconds is None else max(0.0, seconds))

    def serve(self) -> None:
        """Let it be this one's turn."""
        self._served.release()


class Lines:
    """One line for each thing that somebody wants."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, deque[Place]] = {}
        self._lock = threading.Lock()

    def stand(self, key: Hashable, seconds: float | None) -> Place | None:
        """Stand in line until it is one's turn; None, and out of the line, if that has not come in so many seconds."""
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
        """Step out of the line, wherever in it; if it was the first place, the next one is served."""
        with self._lock:
            line = self._lines[key]
            was_first = line[0] is place
            line.remove(place)
            if not line:
                del self._lines[key]
            elif was_first:
                line[0].serve()
