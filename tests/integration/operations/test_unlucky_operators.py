"""Processes die between two lines, stores answer late, two are at work at once: nothing half-made ever serves."""

import asyncio
import time
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.frame.operations.errors import NoOtherGeneration
from shared.frame.operations.rebuilding import Rebuild, Rebuilding, Step
from shared.frame.read_side import generations
from shared.frame.read_side.generations import Generations, State
from shared.frame.read_side.view_state import ControlChanged
from shared.ordering.views.customer_summary import SUMMARY
from tests.integration.operations.conftest import LiveShop
from tests.integration.operations.test_rebuilding import FOREVER, carried_on, rebuilt, rolled_back
from tests.support.agreement import assert_everything_agrees


async def test_what_a_cancelled_rebuild_left_half_filled_never_serves(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live.open(customers=1, products=2, orders=5)
    process = Rebuilding(live.read_models, live.orders_view)
    await process.start()
    await live.orders.write(replace(await live.orders.read(), standby=2))

    async def killed(_self: object, _state: State) -> State:
        raise asyncio.CancelledError

    with monkeypatch.context() as killing:
        killing.setattr(type(live.orders), "write", killed)
        with suppress(asyncio.CancelledError):
            await process.cancel()
    latest = await process.latest()
    assert latest is not None
    assert latest.step is Step.CANCELLED
    assert (await live.orders.read()).standby == 2

    with pytest.raises(NoOtherGeneration):
        await process.roll_back()
    assert (await live.orders.read()).switch_at is None
    await process.retire()
    assert (await live.orders.read()).standby is None
    assert (await rebuilt(live)).generation == 4


async def test_a_rebuild_that_goes_on_meanwhile_is_cancelled_all_the_same(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, operator = (Rebuilding(live.read_models, live.orders_view) for _ in range(2))
    await at_work.start()
    look, pages = operator.latest, [1, 2, 3]

    async def and_then_a_page_is_filled() -> Rebuild | None:
        seen = await look()
        if pages and seen is not None:
            await at_work._write(replace(seen, seen=pages.pop()))
        return seen

    monkeypatch.setattr(operator, "latest", and_then_a_page_is_filled)
    assert (await operator.cancel()).step is Step.CANCELLED
    assert pages == []


async def test_a_switch_rests_on_what_was_read(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=5)
    await rebuilt(live)
    before = await live.orders.read()
    await asyncio.sleep(await rolled_back(live) - time.time() + 0.1)
    with pytest.raises(ControlChanged):
        await live.orders.agree_on_switch(before)
    assert (await live.orders.read()).serving == 1


async def test_a_switch_is_not_agreed_too_late_for_others_to_hear_of_it(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live.open(customers=1, products=2, orders=5)
    await rebuilt(live)
    replaced, landed = ContainerProxy.replace_item, []

    async def late(self: ContainerProxy, *values: Any, **options: Any) -> Any:
        await asyncio.sleep(generations.TRUST)
        answer = await replaced(self, *values, **options)
        landed.append(time.time())
        return answer

    with monkeypatch.context() as slow:
        slow.setattr(ContainerProxy, "replace_item", late)
        with suppress(TimeoutError):
            await Rebuilding(live.read_models, live.orders_view).roll_back()

    switch_at = (await live.orders.read()).switch_at
    assert switch_at is None or switch_at - landed[0] >= generations.TRUST + generations.QUIET_BEFORE


async def test_who_was_taken_over_while_clearing_deletes_nothing_that_came_since(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live.open(customers=2, products=3, orders=30)
    await rebuilt(live)
    await asyncio.sleep(await rolled_back(live) - time.time() + 0.2)
    delete = ContainerProxy.delete_item
    stalled: ContextVar[bool] = ContextVar("stalled", default=False)
    at_it, go_on = asyncio.Event(), asyncio.Event()

    async def maybe_late(self: ContainerProxy, *values: Any, **options: Any) -> None:
        if stalled.get() and values[0] != SUMMARY:
            at_it.set()
            await go_on.wait()
        await delete(self, *values, **options)

    monkeypatch.setattr(ContainerProxy, "delete_item", maybe_late)
    first, second = (Rebuilding(live.read_models, live.orders_view) for _ in range(2))
    await first.start()

    async def stalling() -> None:
        stalled.set(True)
        await carried_on(first)

    slow = asyncio.create_task(stalling())
    await at_it.wait()
    latest = await second.latest()
    assert latest is not None
    await asyncio.sleep(latest.leased_until - time.time() + 0.1)
    await carried_on(second)
    go_on.set()
    await slow

    latest = await second.latest()
    assert latest is not None
    assert latest.step is Step.DONE
    await assert_everything_agrees(live.shop, live.orders.container(2), (await live.catalog.served()).container)


def an_hour_ahead() -> float:
    return time.time() + 3600


async def test_a_rebuild_that_a_clock_was_ahead_for_is_carried_on_by_others(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=5)
    await Rebuilding(live.read_models, live.orders_view, clock=an_hour_ahead).start()
    process = Rebuilding(live.read_models, live.orders_view)
    async with asyncio.timeout(60):
        await carried_on(process)
    latest = await process.latest()
    assert latest is not None
    assert latest.step is Step.DONE
    await assert_everything_agrees(live.shop, live.orders.container(2), live.catalog.container(1))


async def test_a_rebuild_whose_switch_a_clock_was_ahead_for_is_carried_on_to_its_end(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        """The process ended here."""

    async def schedule_and_die(_: Generations, state: State) -> float:
        await live.orders.write(replace(state, switch_at=an_hour_ahead()))
        raise Died

    await live.open(customers=1, products=2, orders=5)
    process = Rebuilding(live.read_models, live.orders_view)
    await process.start()
    with monkeypatch.context() as ahead:
        ahead.setattr(Generations, "agree_on_switch", schedule_and_die)
        with pytest.raises(Died):
            await process.advance(FOREVER)
    async with asyncio.timeout(60):
        await carried_on(process)
    assert (await live.orders.read()).serving == 2


async def test_a_switch_that_a_clock_was_ahead_for_keeps_nobody_from_another_one(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=5)
    await rebuilt(live)
    await live.orders.write(replace(await live.orders.read(), switch_at=an_hour_ahead()))
    process = Rebuilding(live.read_models, live.orders_view)
    await asyncio.sleep(await rolled_back(live) - time.time() + 0.1)
    assert (await live.orders.read()).serving == 1
    await live.orders.write(replace(await live.orders.read(), switch_at=an_hour_ahead()))
    await process.retire()
    state = await live.orders.read()
    assert (state.serving, state.standby, state.switch_at) == (1, None, None)
