"""Commands take turns: as many at once as the database has connections for, and nobody waits long to be told so.

A queue without an end answers nobody: by the time a command had its turn, its caller would have given up and sent it
again. Who does not get a turn soon has changed nothing and is told to come back.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from http import HTTPStatus

from shared.platform.http.problems import RETRY_AFTER, Problem
from shared.platform.sql import POOL_SIZE

AT_ONCE = POOL_SIZE - 4
"""Commands under way in one process; the other connections are the relay's, the projections' and the health checks'."""

PATIENCE = 5.0
"""Seconds that a command waits for its turn."""


class Turns:
    """So many pieces of work at once, each on a thread."""

    def __init__(self, at_once: int = AT_ONCE, patience: float = PATIENCE) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="command")
        self._patience = patience

    async def take[Result](self, work: Callable[[], Result]) -> Result:
        """Do the work when it is its turn, in the caller's context.

        Raises:
            Problem: it has not had its turn in time, and has not begun (503 `overloaded`).
            Exception: what the work raises.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "overloaded",
                "There are more commands than can be carried out at the moment.",
                headers={"Retry-After": str(RETRY_AFTER)},
            ) from None
        loop = asyncio.get_running_loop()
        running = self._threads.submit(copy_context().run, work)
        # only when the work has ended, even if its caller is gone: until then it has a thread and a connection
        running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._free.release))
        return await asyncio.wrap_future(running)
