"""An erasure reaches a generation that was given up, which no event reaches."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.customers.commands.erase_customer import EraseCustomer, Erasures
from shared.frame.messaging.envelope import Metadata
from shared.frame.operations.rebuilding import Rebuilding
from shared.frame.read_side.filling import fill_partition
from shared.frame.read_side.generations import Generations, State
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.jobs.erase_orders import erase_orders
from tests.integration.operations.conftest import LiveShop
from tests.support.counting import counting_cosmos
from tests.support.erasing import keep_appointments
from tests.support.wiring import Wiring, contexts

REASON = "because her cat sat on it"


async def stored(container: ContainerProxy, customer_id: UUID) -> str:
    return repr([row async for row in container.query_items("SELECT * FROM c", partition_key=str(customer_id))])


async def follow(live: LiveShop, consumer: str, context: str, aggregate_id: UUID) -> None:
    """Let a process that has just started take in all of an aggregate's events."""
    wired = contexts(Wiring(live.shop.engines, partial(Generations, live.read_models), lambda _: live.shop.commits))
    [consume] = [each.consume for each in wired["ordering"].consumers if each.name == consumer]
    with wired[context].engine.connect() as connection:
        history = wired[context].log.history(connection, aggregate_id)
    for recorded in history:
        await consume(recorded.envelope)


async def test_an_order_that_is_erased_after_a_generation_was_given_up_is_not_in_its_container(live: LiveShop) -> None:
    shop = live.shop
    customer_id = shop.customer("Ada")
    order_id = shop.order(shop.product(), customer_id=customer_id)
    state = await live.orders.write(State(serving=2, standby=1))
    shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason=REASON), Metadata())
    await follow(live, "project_order", "ordering", order_id)
    erasures = Erasures([], timedelta())
    shop.customers.run(erasures.ask, EraseCustomer(customer_id=customer_id, reason="a letter"), Metadata())
    keep_appointments(shop, erasures)
    await follow(live, "follow_customers", "customers", customer_id)
    given_up = live.orders.container(1)
    assert REASON in await stored(given_up, customer_id)

    counts: Counter[str] = Counter()
    with counting_cosmos(counts):  # events reach it: an erased order lists nobody's documents
        await live.orders.delete_from_unused(str(customer_id))
    assert counts["cosmos_queries"] == 0
    assert REASON in await stored(given_up, customer_id)

    await live.orders.write(replace(state, standby=None))
    erase_orders(shop.ordering_engine, shop.ordering)
    await follow(live, "project_order", "ordering", order_id)
    assert REASON not in await stored(given_up, customer_id)
    assert REASON not in await stored(live.orders.container(2), customer_id)


@pytest.mark.parametrize("dies", [False, True], ids=["the worker goes on", "the worker dies"])
async def test_who_is_erased_while_a_cancelled_rebuild_writes_its_last_page_is_not_in_what_it_filled(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch, *, dies: bool
) -> None:
    shop, (worker, operator) = live.shop, (Rebuilding(live.read_models, live.orders_view) for _ in range(2))
    customer_id = shop.customer("Ada")
    order_id = shop.order(shop.product(), customer_id=customer_id)
    await follow(live, "project_order", "ordering", order_id)
    is_read, may_write = asyncio.Event(), asyncio.Event()

    async def held_between_read_and_write(*read: Any) -> tuple[int, int, int]:
        is_read.set()
        await may_write.wait()
        filled = await fill_partition(*read)
        if dies:
            raise asyncio.CancelledError
        return filled

    monkeypatch.setattr("shared.frame.read_side.log_source.fill_partition", held_between_read_and_write)
    await worker.start()
    working = asyncio.create_task(worker.advance(time.time() + 60))
    await is_read.wait()
    await operator.cancel()
    erasures = Erasures([], timedelta())
    shop.customers.run(erasures.ask, EraseCustomer(customer_id=customer_id, reason="a letter"), Metadata())
    keep_appointments(shop, erasures)
    await follow(live, "follow_customers", "customers", customer_id)
    erase_orders(shop.ordering_engine, shop.ordering)
    await follow(live, "project_order", "ordering", order_id)
    may_write.set()
    with suppress(asyncio.CancelledError):
        await working
    given_up = live.orders.container(2)
    if dies:
        assert "Ada" in await stored(given_up, customer_id)
        await operator.advance(time.time() + 60)  # as a timer does

    assert "Ada" not in await stored(live.orders.container(1), customer_id)
    assert "Ada" not in await stored(given_up, customer_id)
