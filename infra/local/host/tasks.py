"""The tasks of the Service Bus pump. On a stop, waiting tasks are cancelled at once; invocations may finish."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

log = logging.getLogger("host.servicebus")

_SWEEP = 0.1
"""Seconds after which waits that began during a stop are found."""


class Tasks:
    """A group of tasks, each of which is waiting for a message, handling one, or winding up."""

    def __init__(self) -> None:
        self.stopping = False
        self._all: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Task[Any]] = set()
        self._handling: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task; one that fails is logged."""
        task = asyncio.create_task(coroutine)
        self._all.add(task)
        task.add_done_callback(self._ended)
        return task

    async def interruptible[T](self, awaitable: Coroutine[Any, Any, T]) -> T:
        """Wait for something that a stop need not wait for."""
        task = _current()
        self._waiting.add(task)
        try:
            return await awaitable
        finally:
            self._waiting.discard(task)

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Mark the current task as one that a stop gives time."""
        task = _current()
        self._handling.add(task)
        try:
            yield
        finally:
            self._handling.discard(task)

    async def stop(self) -> None:
        """Interrupt the waits and wait for everything else."""
        self.stopping = True
        while self._waiting or self._all:
            for task in self._waiting:
                task.cancel()
            await asyncio.wait(self._waiting | self._all, timeout=_SWEEP)

    async def handled(self, limit: timedelta) -> None:
        """Wait until no task handles a message, for no longer than the limit."""
        deadline = asyncio.get_running_loop().time() + limit.total_seconds()
        while self._handling and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(set(self._handling), timeout=min(left, _SWEEP))

    def give_up(self) -> None:
        """Give back the messages that are still being handled."""
        for task in self._handling:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._all.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a task of the Service Bus pump failed", exc_info=error)


def _current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 -- for the type checker: a coroutine runs in a task
    return task
