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

STEPS = tuple(timedelta(milliseconds=step) for step in (0, 1, 5, 50, 3_000))
"""How much time may pass between two turns."""


class Crash(BaseException):
    """The process dies here: nothing after this point happens, and no `except Exception` sees it."""


@dataclass(slots=True)
class _Actor:
    name: str
    life: greenlet


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
        self._main: greenlet | None = None

    def spawn(self, name: str, body: Callable[[], None]) -> None:
        """Add an actor; it begins when its first turn comes."""
        self._actors.append(_Actor(name, greenlet(body)))

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
                actor = self.random.choice(waiting)
                self.now += self.random.choice(STEPS)
                actor.life.switch()
                if actor.life.dead:
                    waiting.remove(actor)
                    busy -= actor.name.startswith(last)
        finally:
            self._main = None

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

    def fault(self, *kinds: str) -> str | None:
        """Decide whether something goes wrong here, and what."""
        if self._main is None or self.closing or self.random.random() >= self.fault_rate:
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
            while not task.done():
                step()
            if not isinstance(task.exception(), Crash):
                while tasks.all_tasks(self):
                    step()
        finally:
            events._set_running_loop(None)
        return task.result()

    @override
    def time(self) -> float:
        return self._scheduler.now.timestamp()

    def select(self, timeout: float | None) -> list[Any]:
        """Wait for time to pass: the base class asks this of its selector."""
        assert timeout is not None, "nothing will ever happen on this loop"
        if timeout > 0:
            self._scheduler.sleep(timeout)
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
