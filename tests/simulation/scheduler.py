"""Actors on threads, of which one runs at a time: each pause hands on to another one, as the seed says."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID


class Crash(BaseException):
    """The process dies here: nothing after this point happens, and no `except Exception` sees it."""


class _Actor:
    def __init__(self, name: str, body: Callable[[], None]) -> None:
        self.name = name
        self.body = body
        self.go = threading.Semaphore(0)
        self.over = False
        self.error: BaseException | None = None


class Scheduler:
    """Time, chance and turns; everything that happens follows from the seed.

    Attributes:
        faults: how many of each kind were injected.
        fault_rate: the chance of a fault where one is possible.
    """

    def __init__(self, seed: int, fault_rate: float) -> None:
        self.random = random.Random(seed)
        self.fault_rate = fault_rate
        self.faults: dict[str, int] = {}
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.closing = False
        self._actors: list[_Actor] = []
        self._running: _Actor | None = None
        self._back = threading.Semaphore(0)

    def spawn(self, name: str, body: Callable[[], None]) -> None:
        """Add an actor; it begins when its first turn comes."""
        self._actors.append(_Actor(name, body))

    def run(self, over: Callable[[], bool], last: str) -> None:
        """Give turns until all actors whose names begin with `last` have ended and `over` says so; then all end.

        Raises:
            Exception: whatever an actor raised.
        """
        for actor in self._actors:
            threading.Thread(target=self._live, args=(actor,), daemon=True).start()
        while waiting := [actor for actor in self._actors if not actor.over]:
            if not self.closing and not any(actor.name.startswith(last) for actor in waiting):
                self.closing = over()
            actor = self.random.choice(waiting)
            self.now += timedelta(milliseconds=self.random.choice((0, 1, 5, 50, 3_000)))
            self._running = actor
            actor.go.release()
            self._back.acquire()
            self.closing = self.closing or actor.error is not None
        self._running = None
        for actor in self._actors:
            if actor.error is not None:
                raise actor.error

    def pause(self) -> None:
        """Let others go on, for as long as the seed says; does nothing outside of actors."""
        actor = self._running
        if actor is None or actor.body is None:
            return
        self._back.release()
        actor.go.acquire()

    def fault(self, *kinds: str) -> str | None:
        """Decide whether something goes wrong here, and what."""
        if self._running is None or self.closing or self.random.random() >= self.fault_rate:
            return None
        kind = self.random.choice(kinds)
        self.faults[kind] = self.faults.get(kind, 0) + 1
        return kind

    def clock(self) -> datetime:
        """The time; now and then some process's clock is wrong by minutes."""
        if self.fault("clock jump"):
            return self.now + timedelta(minutes=self.random.choice((-5, 5)))
        return self.now

    def uuid(self) -> UUID:
        """An id that the seed decides."""
        return UUID(int=self.random.getrandbits(128), version=4)

    def _live(self, actor: _Actor) -> None:
        actor.go.acquire()
        try:
            actor.body()
        except BaseException as error:  # noqa: BLE001  # handed to the scheduler's thread, which raises it
            actor.error = error
        actor.over = True
        self._back.release()
