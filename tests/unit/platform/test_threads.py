"""Work on a thread is its caller's: in the caller's context, and not begun for a caller who has gone."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from shared.frame.platform.threads import Threads


async def test_work_on_a_thread_is_done_in_its_callers_context() -> None:
    trace = ContextVar("trace", default="another's")
    trace.set("the caller's")
    assert await Threads("working", 1).run(trace.get) == "the caller's"


async def test_work_whose_caller_has_gone_before_its_turn_is_not_begun() -> None:
    threads, over, done = Threads("working", 1), threading.Event(), list[str]()
    first = asyncio.ensure_future(threads.run(over.wait))
    second = asyncio.ensure_future(threads.run(done.append, "second"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    over.set()
    await first
    await threads.run(done.append, "third")
    assert done == ["third"]
