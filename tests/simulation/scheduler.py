"""Actors that take turns: each pause hands on to another one, as the seed says."""

import asyncio
import random
from asyncio import events, tasks
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, override
from uuid import UUID

from greenlet import getcurrent, greenlet

from tests.simulation import FAULTS

START = datetime(2026, 1, 1, tzinfo=UTC)
MICROSECOND = 1e-6
STEPS = tuple(timedelta(milliseconds=step) for step in (0, 1, 5, 50, 1_000))
"""How much time may pass between two turns."""

HASTE = tuple(timedelta(milliseconds=step) for step in (0, 1, 5, 50, 100))
LONGEST = timedelta(seconds=0.5)
"""The same, and how long anybody waits for a turn, while nobody may be held up."""

MOST_STEPS = 100_000
"""After so many steps of an event loop, whatever it does will not end."""


class Crash(BaseException):
    """The process dies here: nothing after this point happens, and no `except Exception` sees it."""


@dataclass(slots=True, eq=False)
class _Actor:
    name: str
    life: greenlet
    last_turn: datetime = START


class Scheduler:
    """Time, chance and turns; everything that happens follows from the seed.

    Attributes:
        faults: how many of each kind were injected.
        fault_rate: the chance of a fault where one is possible.
    """

    def __init__(self, seed: int, fault_rate: float) -> None:
        self.random = random.Random(seed)
        self.fault_rate = fault_rate
        self.faults = dict.fromkeys(FAULTS, 0)
        self.now = START
        self.closing = False
        self._running: _Actor | None = None
        self._spared_by: _Actor | None = None
        self._actors: list[_Actor] = []
        self._main: greenlet | None = None

    def spawn(self, name: str, body: Callable[[], None], turns: int = 1) -> None:
        """Add an actor, which has so many turns where others have one; it begins when its first turn comes."""
        self._actors += [_Actor(name, greenlet(body))] * turns

    def run(self, over: Callable[[], bool], last: str) -> None:
        """Give turns until all actors whose names begin with `last` have ended and `over` says so; then all end.

        Raises:
            Exception: whatever an actor raised.
        """
        self._main = getcurrent()
        waiting, busy = list(self._actors), sum(actor.name.startswith(last) for actor in self._actors)
        try:
            while waiting:
                if not busy and not self.closing:
                    self.closing = over()
                actor = self._running = self._next(waiting)
                actor.life.switch()
                if actor.life.dead:
                    waiting = [other for other in waiting if other is not actor]
                    busy -= actor.name.startswith(last)
        finally:
            self._main = None

    def _next(self, waiting: list[_Actor]) -> _Actor:
        actor = self.random.choice(waiting)
        if self._spared_by is None:
            self.now += self.random.choice(STEPS)
        else:
            self.now += self.random.choice(HASTE)
            longest = min(waiting, key=lambda other: other.last_turn)
            actor = longest if longest.last_turn < self.now - LONGEST else actor
        actor.last_turn = self.now
        return actor

    def spare_others(self) -> None:
        """From now on let faults meet this actor alone, and hold nobody up."""
        self._spared_by = self._running

    def pause(self) -> None:
        """Let others go on, for as long as the seed says; does nothing outside of actors."""
        if self._main is None:
            return
        loop = events._get_running_loop()
        if loop is None:
            self._main.switch()
            return
        # what asyncio knows of "the" running loop and task is this actor's, and not the next one's
        task = tasks._swap_current_task(loop, None)  # type: ignore[attr-defined]  # the stubs lack it
        events._set_running_loop(None)
        self._main.switch()
        events._set_running_loop(loop)
        tasks._swap_current_task(loop, task)  # type: ignore[attr-defined]  # as above

    def sleep(self, seconds: float) -> None:
        """Let others go on until this time has passed; outside of actors it passes at once."""
        until = self.now + timedelta(seconds=seconds)
        while self._main is not None and self.now < until:
            self.pause()
        self.now = max(self.now, until)

    def fault(self, *kinds: str, as_often: float = 1) -> str | None:
        """Decide whether something goes wrong here, and what; so many times as often as elsewhere."""
        if self._main is None or self.closing or self._spared_by not in (None, self._running):
            return None
        if self.random.random() >= self.fault_rate * as_often:
            return None
        return self.note(self.random.choice(kinds))

    def note(self, kind: str) -> str:
        """Count something that went wrong, injected or not."""
        self.faults[kind] += 1
        return kind

    def clock(self) -> datetime:
        """The time; now and then some process's clock is wrong by minutes."""
        if self.fault("clock jump"):
            return self.now + timedelta(minutes=self.random.choice((-5, 5)))
        return self.now

    def seconds(self) -> float:
        """The time that only ever goes forward, in seconds."""
        return (self.now - START).total_seconds()

    def uuid(self) -> UUID:
        """An id that the seed decides."""
        return UUID(int=self.random.getrandbits(128), version=4)

    def work[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on an event loop of its own, whose time is the simulation's."""
        loop = _Loop(self)
        try:
            return loop.work(coroutine)
        finally:
            loop.close()


class _Loop(asyncio.BaseEventLoop):
    """An event loop within one actor: others have their turns while it waits.

    Neither its threads nor its sockets are real, so it costs next to nothing to have one for each delivery.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._selector = self

    def work[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, and what it has left running; a crash ends all of it at once."""
        step = self._run_once  # type: ignore[attr-defined]  # the stubs lack it
        events._set_running_loop(self)
        try:
            task = self.create_task(coroutine)
            for _ in range(MOST_STEPS):
                if task.done():
                    break
                step()
            assert task.done(), "a coroutine goes round and round"
            while tasks.all_tasks(self) and not isinstance(task.exception(), Crash):
                step()
            for other in tasks.all_tasks(self):
                if (abandoned := other.get_coro()) is not None:
                    abandoned.close()  # nothing of a process that died is heard of again
        finally:
            events._set_running_loop(None)
        return task.result()

    @override
    def time(self) -> float:
        return self._scheduler.seconds()

    def select(self, timeout: float | None) -> list[Any]:
        """Wait for time to pass: the base class asks this of its selector."""
        assert timeout is not None, "nothing will ever happen on this loop"
        if timeout > 0:
            self._scheduler.sleep(timeout + MICROSECOND)  # or the rest of one would be waited for again and again
        return []

    def _process_events(self, _events: list[Any]) -> None:
        """Do nothing: `select` gives none."""

    @override
    def run_in_executor[*Ts, T](self, executor: object, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001  # a crash too is for whoever awaits it
            future.set_exception(error)
        return future
