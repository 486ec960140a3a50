"""Threads for synchronous work, apart by what it is for: what one kind of work takes up, no other kind misses.

asyncio's own executor is left to the libraries, which look up names of servers on it. A test knows that nothing of
ours runs there.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial


class Threads:
    """So many threads for one kind of work; what finds none free waits, and does not begin if its caller has gone."""

    def __init__(self, kind: str, at_once: int) -> None:
        self._executor = ThreadPoolExecutor(at_once, thread_name_prefix=kind)

    async def run[**Parameters, Result](
        self, work: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """Do the work on one of the threads, in the caller's context."""
        in_context = partial(copy_context().run, work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, in_context)


DELIVERY = Threads("delivery", 6)
"""For what events change in SQL, and for what projections read there."""

REBUILDING = Threads("rebuilding", 4)
"""For read models that are filled from the log, or held against it."""

LOOKING = Threads("looking", 2)
"""For short looks at the log on behalf of whoever waits for a version."""

CHORES = Threads("chores", 4)
"""For what contexts do from time to time, each apart from the others."""
