"""Background work: it may be slow, but must not hold the event loop up while requests wait for it."""

import asyncio
import time
from collections.abc import Awaitable

LONGEST_PAUSE = 1.0
"""Seconds; a piece that takes longer waits for a store in trouble, and not for a turn."""


async def with_pause[Result](piece: Awaitable[Result]) -> Result:
    """Do a piece of work, and then nothing for as long as it took.

    A loop that is never idle answers queries a little later, but commands a hundred times later: they run on threads,
    and ask for the interpreter's lock again after each statement, which a busy loop gives up only when it is made to.
    """
    began = time.monotonic()
    result = await piece
    await asyncio.sleep(min(time.monotonic() - began, LONGEST_PAUSE))
    return result
