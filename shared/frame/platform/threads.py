"""Thread pools for synchronous work. Each kind of work has its own pool, so that no kind takes another's threads.

asyncio's own executor is left to libraries, which resolve host names on it. A test checks that none of our work runs
there.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial


class Threads:
    """A pool for one kind of work. Work waits for a free thread, and does not begin if its caller has gone."""

    def __init__(self, kind: str, at_once: int) -> None:
        self._executor = ThreadPoolExecutor(at_once, thread_name_prefix=kind)

    async def run[**Parameters, Result](
        self, work: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """Do the work on one of the threads, in the caller's context."""
        in_context = partial(copy_context().run, work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, in_context)


DELIVERY = Threads("delivery", 6)
"""For consumers that change SQL, and for projections' reads of SQL."""

REBUILDING = Threads("rebuilding", 4)
"""For filling read models from the log, and comparing them with it."""

LOOKING = Threads("looking", 2)
"""For short reads of the log on behalf of queries that wait for a version."""

CHORES = Threads("chores", 4)
"""For the contexts' timed work."""
