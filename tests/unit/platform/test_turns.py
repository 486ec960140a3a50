"""Turns: so many at once, a short wait, and a place is free again when its work has ended, not before."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from shared.platform.http.problems import Problem
from shared.platform.turns import Turns

CALLER: ContextVar[str] = ContextVar("CALLER")


async def test_work_that_finds_no_place_in_time_is_told_when_to_come_back_and_has_not_begun() -> None:
    turns, go_on, begun = Turns(at_once=1, patience=0.01), threading.Event(), threading.Event()
    first = asyncio.create_task(turns.take(go_on.wait))
    await asyncio.sleep(0)  # it takes its place
    with pytest.raises(Problem, match="more commands than") as refused:
        await turns.take(begun.set)
    assert (refused.value.status, refused.value.code, refused.value.headers) == (
        503,
        "overloaded",
        {"Retry-After": "1"},
    )
    assert not begun.is_set()
    go_on.set()
    assert await first
    await turns.take(begun.set)
    assert begun.is_set()


async def test_work_whose_caller_is_gone_keeps_its_place_until_it_has_ended() -> None:
    turns, begun, go_on = Turns(at_once=1, patience=0.2), threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return go_on.wait()

    first = asyncio.create_task(turns.take(work))
    while not begun.is_set():  # noqa: ASYNC110  # a thread sets it
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(Problem):
        await turns.take(go_on.wait)
    go_on.set()
    assert await turns.take(go_on.is_set)


async def test_work_that_fails_gives_its_place_back() -> None:
    turns = Turns(at_once=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await turns.take(lambda: 1 // 0)


async def test_work_is_done_in_the_context_of_its_caller() -> None:
    CALLER.set("Ada")
    assert await Turns().take(CALLER.get) == "Ada"
