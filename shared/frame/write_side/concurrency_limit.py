"""A limit on how much is done at the same time: as much as the database has connections for.

Work above the limit waits for a few seconds; then it is refused, has changed nothing, and the caller may send it again.
In a longer queue, callers would have given up and sent their commands again before the first ones had their turn.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from uuid import UUID

from shared.frame.sql.engines import POOL_SIZE
from shared.kernel.refusals import Unavailable

AT_ONCE = POOL_SIZE - 4
"""Commands under way in one process; the other connections are the relay's, the projections' and the health checks'."""

MAX_WAIT = 5.0
"""Seconds that a command waits for its turn."""


class ConcurrencyLimit:
    """So many pieces of work at once, each on a thread."""

    def __init__(self, at_once: int = AT_ONCE, max_wait: float = MAX_WAIT, kind: str = "commands") -> None:
        self._free = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=kind)
        self._max_wait = max_wait
        self._kind = kind

    async def take[Result](self, work: Callable[[], Result], max_wait: float | None = None) -> Result:
        """Do the work when it is its turn, in the caller's context.

        Args:
            work: what to do.
            max_wait: seconds that it waits for its turn, if they are not as many as for all others.

        Raises:
            Unavailable: it has not had its turn in time, and has not begun (503 `overloaded`).
            Exception: what the work raises.
        """
        try:
            async with asyncio.timeout(self._max_wait if max_wait is None else max_wait):
                await self._free.acquire()
        except TimeoutError:
            raise self._overloaded() from None
        loop = asyncio.get_running_loop()
        running = self._threads.submit(copy_context().run, work)
        # only when the work has ended, even if its caller is gone: until then it has a thread and a connection
        running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._free.release))
        return await asyncio.wrap_future(running)

    def _overloaded(self) -> Unavailable:
        return Unavailable("overloaded", f"There are more {self._kind} than can be carried out at the moment.")


class FairConcurrencyLimit(ConcurrencyLimit):
    """A limit under which each caller has one piece of work at a time, and a share of the places to wait in.

    A caller may take as many places as are left free: the first caller half of them, the next one half of the rest, and
    so on. Work that finds no place is refused at once, so that it does not take up a request of the host either.
    """

    def __init__(self, at_once: int, places: int, max_wait: float = MAX_WAIT, kind: str = "commands") -> None:
        super().__init__(at_once, max_wait, kind)
        self._places = places
        self._here = Counter[UUID | None]()
        self._lines: dict[UUID | None, asyncio.Lock] = {}

    async def take_for[Result](self, caller: UUID | None, work: Callable[[], Result]) -> Result:
        """Do the work when it is this caller's turn.

        Raises:
            Unavailable: the caller has all the places that it may have, or has not had its turn (503 `overloaded`).
            Exception: what the work raises.
        """
        if self._here[caller] >= self._places - self._here.total():
            raise self._overloaded()
        self._here[caller] += 1
        line = self._lines.setdefault(caller, asyncio.Lock())
        begin = time.monotonic()
        try:
            try:
                async with asyncio.timeout(self._max_wait):
                    await line.acquire()
            except TimeoutError:
                raise self._overloaded() from None
            try:
                return await self.take(work, begin + self._max_wait - time.monotonic())
            finally:
                line.release()
        finally:
            self._here[caller] -= 1
            if not self._here[caller]:
                del self._here[caller], self._lines[caller]
