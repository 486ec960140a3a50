"""Background work: it may be slow, but it must leave the event loop free for requests."""

import asyncio
import time
from collections.abc import Awaitable

LONGEST_PAUSE = 1.0
"""Seconds of the longest pause: a piece that takes longer was waiting for a slow store, not using the processor."""


async def with_pause[Result](piece: Awaitable[Result]) -> Result:
    """Do a piece of work, then pause for as long as it took.

    A loop that is never idle answers queries a little later, but commands a hundred times later: they run on threads,
    and ask for the interpreter's lock again after each statement, which a busy loop gives up only when it is made to.
    """
    began = time.monotonic()
    result = await piece
    await asyncio.sleep(min(time.monotonic() - began, LONGEST_PAUSE))
    return result
