"""ConcurrencyLimit: so many at once, a short wait, and a place is free again when its work has ended, not before."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest

from shared.frame.platform.callers import Requester
from shared.frame.write_side.concurrency_limit import SHARE, ConcurrencyLimit, FairConcurrencyLimit
from shared.kernel.refusals import TooSoon, Unavailable

CALLER: ContextVar[str] = ContextVar("CALLER")


async def test_work_that_finds_no_place_in_time_is_told_when_to_come_back_and_has_not_begun() -> None:
    turns, go_on, begun = ConcurrencyLimit(at_once=1, max_wait=0.01), threading.Event(), threading.Event()
    first = asyncio.create_task(turns.take(go_on.wait))
    await asyncio.sleep(0)  # it takes its place
    with pytest.raises(Unavailable, match="more commands than") as refused:
        await turns.take(begun.set)
    assert (refused.value.code, refused.value.retry_after) == ("overloaded", 1)
    assert not isinstance(refused.value, TooSoon), "others are in the way"
    assert not begun.is_set()
    go_on.set()
    assert await first
    await turns.take(begun.set)
    assert begun.is_set()


async def test_work_whose_caller_is_gone_keeps_its_place_until_it_has_ended() -> None:
    turns, begun, go_on = ConcurrencyLimit(at_once=1, max_wait=0.2), threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return go_on.wait()

    first = asyncio.create_task(turns.take(work))
    async with asyncio.timeout(30):
        while not begun.is_set():  # noqa: ASYNC110  # a thread sets it
            await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(Unavailable):
        await turns.take(go_on.wait)
    go_on.set()
    assert await turns.take(go_on.is_set)


async def test_an_owner_has_a_share_and_what_is_over_it_is_refused_at_once_while_others_have_their_turn() -> None:
    turns, go_on, one, another = ConcurrencyLimit(max_wait=60), threading.Event(), uuid4(), uuid4()
    running = [asyncio.create_task(turns.take(go_on.wait, owner=one)) for _ in range(SHARE)]
    await asyncio.sleep(0)  # they take their places
    for _ in range(100):
        with pytest.raises(TooSoon):  # others notice nothing
            await turns.take(go_on.is_set, owner=one)
    assert await turns.take(go_on.is_set, owner=another) is False
    assert await turns.take(go_on.is_set) is False
    go_on.set()
    assert all(await asyncio.gather(*running))
    assert await turns.take(go_on.is_set, owner=one)


async def test_work_of_an_owner_who_is_gone_is_a_part_of_their_share_until_it_has_ended() -> None:
    turns, go_on, owner = ConcurrencyLimit(max_wait=60), threading.Event(), uuid4()
    begun = threading.Barrier(SHARE + 1)

    def work() -> bool:
        begun.wait(60)
        return go_on.wait(60)

    left = [asyncio.create_task(turns.take(work, owner=owner)) for _ in range(SHARE)]
    await asyncio.to_thread(begun.wait, 60)
    for each in left:
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    with pytest.raises(Unavailable):
        await turns.take(go_on.is_set, owner=owner)
    go_on.set()
    async with asyncio.timeout(60):
        while True:
            try:
                assert await turns.take(go_on.is_set, owner=owner)
            except Unavailable:
                await asyncio.sleep(0)  # the loop has not yet been told that the work has ended
            else:
                break


async def test_an_owner_whose_work_finds_no_place_has_their_share_back() -> None:
    turns, go_on, owner = ConcurrencyLimit(at_once=1, max_wait=0.01), threading.Event(), uuid4()
    first = asyncio.create_task(turns.take(go_on.wait))
    await asyncio.sleep(0)  # it takes its place
    for _ in range(2 * SHARE):
        with pytest.raises(Unavailable):
            await turns.take(go_on.is_set, owner=owner)
    go_on.set()
    assert await first
    assert await turns.take(go_on.is_set, owner=owner)


async def test_work_that_fails_gives_its_place_back() -> None:
    turns = ConcurrencyLimit(at_once=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await turns.take(lambda: 1 // 0)


async def test_work_for_which_no_thread_can_be_started_is_refused_and_gives_its_place_and_share_back() -> None:
    turns, owner, begun = ConcurrencyLimit(at_once=2), uuid4(), threading.Event()
    with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
        for _ in range(2 * SHARE):
            with pytest.raises(Unavailable) as refused:
                await turns.take(begun.set, owner=owner)
            assert refused.value.code == "overloaded"
    assert await turns.take(lambda: "done", owner=owner) == "done"
    assert not begun.is_set(), "what was refused does not begin later"


async def test_work_that_is_under_way_when_a_thread_cannot_be_started_for_it_is_waited_for() -> None:
    """Another thread has taken it out of the queue meanwhile."""
    turns = ConcurrencyLimit(at_once=2)
    real = ThreadPoolExecutor.submit

    def begun_all_the_same(*arguments: Any) -> None:
        real(*arguments).result(60)
        raise RuntimeError("can't start new thread")

    with mock.patch.object(ThreadPoolExecutor, "submit", begun_all_the_same):
        assert await turns.take(lambda: "done") == "done"


async def test_work_is_done_in_the_context_of_its_caller() -> None:
    CALLER.set("Ada")
    assert await ConcurrencyLimit().take(CALLER.get) == "Ada"


def owner() -> Requester:
    return Requester(uuid4(), is_owner=True)


async def test_an_owner_has_one_turn_at_a_time_and_the_others_find_the_rest_free() -> None:
    turns, go_on, begun = FairConcurrencyLimit(at_once=4, places=32), threading.Event(), threading.Semaphore(0)
    greedy = owner()

    def work() -> bool:
        begun.release()
        return go_on.wait()

    waiting = [asyncio.create_task(turns.take_for(greedy, work)) for _ in range(10)]
    async with asyncio.timeout(30):
        while not begun._value:  # noqa: ASYNC110  # threads release it
            await asyncio.sleep(0.001)
    assert await turns.take_for(owner(), lambda: "at once") == "at once"
    assert begun._value == 1
    go_on.set()
    assert all(await asyncio.gather(*waiting))


async def test_a_caller_who_reads_for_many_has_all_turns_but_one_which_is_left_for_others() -> None:
    turns, go_on = FairConcurrencyLimit(at_once=4, places=32, max_wait=60), threading.Event()
    staff, together, begun = Requester(uuid4()), threading.Barrier(3), threading.Semaphore(0)

    def work() -> bool:
        begun.release()
        together.wait(30)
        return go_on.wait(30)

    waiting = [asyncio.create_task(turns.take_for(staff, work)) for _ in range(6)]
    async with asyncio.timeout(60):
        while begun._value < 3:  # noqa: ASYNC110  # threads release it
            await asyncio.sleep(0.001)
    for other in (owner(), Requester(uuid4())):
        assert await turns.take_for(other, lambda: "at once") == "at once"
    assert begun._value == 3
    go_on.set()
    assert all(await asyncio.gather(*waiting))
    assert not turns._here
    assert not turns._lines


async def test_where_one_piece_of_work_runs_at_once_each_caller_has_a_turn_all_the_same() -> None:
    turns = FairConcurrencyLimit(at_once=1, places=16)
    both = [turns.take_for(caller, lambda: True) for caller in (Requester(uuid4()), Requester(uuid4()))]
    assert await asyncio.gather(*both) == [True, True]


async def test_one_caller_has_half_of_the_places_and_is_refused_at_once_beyond_them() -> None:
    turns, go_on = FairConcurrencyLimit(at_once=2, places=8), threading.Event()
    greedy = owner()
    waiting = [asyncio.create_task(turns.take_for(greedy, go_on.wait)) for _ in range(8)]
    await asyncio.sleep(0)
    refused = [task for task in waiting if task.done()]
    assert len(refused) == 4
    for task in refused:
        with pytest.raises(Unavailable) as problem:
            await task
        assert problem.value.code == "overloaded"
    others = [asyncio.create_task(turns.take_for(owner(), lambda: True)) for _ in range(4)]
    assert await asyncio.gather(*others) == [True] * 4
    go_on.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not turns._here
    assert not turns._lines


async def test_who_waited_for_a_share_waits_for_a_turn_only_as_long_as_is_left() -> None:
    left: list[float] = []

    class Noting(FairConcurrencyLimit):
        async def _take(self, work: Callable[[], Any], max_wait: float, held: ExitStack) -> Any:
            left.append(max_wait)
            return await super()._take(work, max_wait, held)

    turns, go_on, caller = Noting(at_once=4, places=32, max_wait=30), threading.Event(), owner()
    tasks = [asyncio.create_task(turns.take_for(caller, work)) for work in (go_on.wait, go_on.is_set)]
    await asyncio.sleep(0.1)  # the second stands behind the first
    go_on.set()
    assert await asyncio.gather(*tasks) == [True, True]
    _, second = left
    assert second < 29.95


async def test_work_does_not_begin_once_its_caller_has_gone() -> None:
    turns, go_on, begun = FairConcurrencyLimit(at_once=2, places=32), threading.Event(), threading.Event()
    caller = owner()
    first = asyncio.create_task(turns.take_for(caller, go_on.wait))
    await asyncio.sleep(0)
    second = asyncio.create_task(turns.take_for(caller, begun.set))
    await asyncio.sleep(0)
    second.cancel()
    go_on.set()
    await first
    assert await turns.take_for(caller, lambda: True)
    assert not begun.is_set()


async def test_work_of_a_caller_who_is_gone_is_their_one_turn_and_has_its_place_until_it_has_ended() -> None:
    turns, go_on = FairConcurrencyLimit(at_once=2, places=4), threading.Event()
    caller, running = owner(), threading.Semaphore(0)

    def work() -> bool:
        running.release()
        return go_on.wait(60)

    left = asyncio.create_task(turns.take_for(caller, work))
    await asyncio.to_thread(running.acquire, timeout=60)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    behind = asyncio.create_task(turns.take_for(caller, work))
    await asyncio.sleep(0)  # it takes its place, and stands behind what runs
    with pytest.raises(Unavailable):
        await turns.take_for(caller, work)
    assert await turns.take_for(owner(), lambda: "at once") == "at once"
    assert not running.acquire(blocking=False)
    go_on.set()
    assert await behind
    assert not turns._here
    assert not turns._lines


async def test_a_caller_who_has_half_of_the_places_asks_too_soon_and_who_finds_none_left_does_not() -> None:
    turns, go_on, one = FairConcurrencyLimit(at_once=2, places=4, max_wait=60), threading.Event(), owner()
    callers = one, one, owner(), owner()
    here = [asyncio.create_task(turns.take_for(caller, go_on.wait)) for caller in callers]
    await asyncio.sleep(0)  # they take all places
    with pytest.raises(TooSoon):
        await turns.take_for(one, go_on.is_set)
    with pytest.raises(Unavailable) as caught:
        await turns.take_for(owner(), go_on.is_set)
    assert not isinstance(caught.value, TooSoon), "others are in the way"
    go_on.set()
    assert all(await asyncio.gather(*here))


async def test_a_caller_whose_work_stands_behind_their_own_is_not_told_that_they_ask_too_soon() -> None:
    """Perhaps the database hangs, and nobody else asks it."""
    turns, go_on, one = FairConcurrencyLimit(at_once=2, places=4, max_wait=0.1), threading.Event(), owner()
    first, behind = (asyncio.create_task(turns.take_for(one, go_on.wait)) for _ in range(2))
    with pytest.raises(Unavailable) as caught:
        await behind
    assert not isinstance(caught.value, TooSoon)
    go_on.set()
    assert await first


async def test_a_caller_whose_work_stands_behind_that_of_others_is_not_told_that_they_ask_too_soon() -> None:
    """Their own work moves up in their line, and none of it has its turn."""
    turns, go_on, one = FairConcurrencyLimit(at_once=2, places=16, max_wait=0.2), threading.Event(), owner()
    others = [asyncio.create_task(turns.take_for(owner(), lambda: go_on.wait(60))) for _ in range(2)]
    await asyncio.sleep(0)  # they take all turns
    first = asyncio.create_task(turns.take_for(one, go_on.is_set))
    await asyncio.sleep(0.05)  # it gives up while those behind it still wait
    behind = [asyncio.create_task(turns.take_for(one, go_on.is_set)) for _ in range(2)]
    told = await asyncio.gather(first, *behind, return_exceptions=True)
    go_on.set()
    assert all(await asyncio.gather(*others))
    assert [type(each) for each in told] == [Unavailable] * 3


async def test_a_caller_whose_work_did_not_have_its_turn_while_others_of_theirs_had_it_asks_too_soon() -> None:
    turns, caller = FairConcurrencyLimit(at_once=2, places=16, max_wait=0.5), owner()
    go_on = [threading.Event() for _ in range(3)]
    first, second, third = (asyncio.create_task(turns.take_for(caller, each.wait)) for each in go_on)
    await asyncio.sleep(0)  # they stand in line
    go_on[0].set()
    assert await first
    with pytest.raises(TooSoon):
        await third
    go_on[1].set()
    assert await second
