"""Processes killed under load, and a whole stack stopped and started: nothing is lost, and nothing is done twice."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local.demo.audit import Audit
from infra.local.demo.book import Book
from infra.local.demo.day import Day
from infra.local.demo.opening import open_shop
from infra.local.demo.shop import Shop
from tests.e2e.api import Api, order_body, version_of
from tests.support.stack import Stack, running_stack

AT_ONCE = 8
ORDERS = 60
KILLED_AFTER = 15
"""Orders that are done when a process is killed; the others are under way or still to come."""


@pytest.fixture(scope="module")
def fragile() -> Iterator[Stack]:
    """A stack of our own, to be hurt."""
    with running_stack() as stack:
        yield stack


def nothing() -> None:
    """Take no notice of progress."""


async def a_day(stack: Stack, seed: int, advance: Callable[[], None]) -> tuple[Shop, Book, list[str]]:
    """Trade for a day; retries are the client's, each under the key of the first try."""
    shop, book = Shop(stack.base_url, AT_ONCE), Book()
    await open_shop(shop, book, seed, customers=6, products=8, at_once=AT_ONCE, advance=nothing)
    surprises = await Day(shop, book, seed).trade(ORDERS, AT_ONCE, advance)
    return shop, book, surprises


@pytest.mark.parametrize(("seed", "name"), [(4, "host"), (5, "servicebus"), (6, "cosmos")])
async def test_a_process_killed_under_load_costs_nothing_but_time(fragile: Stack, seed: int, name: str) -> None:
    done, kill_now = 0, asyncio.Event()

    def advance() -> None:
        nonlocal done
        done += 1
        if done == KILLED_AFTER:
            kill_now.set()

    async def killer() -> None:
        await kill_now.wait()
        await asyncio.to_thread(fragile.kill, name)
        assert done < ORDERS, "the kill must come under load"

    async with asyncio.TaskGroup() as group:
        group.create_task(killer())
        trading = group.create_task(a_day(fragile, seed, advance))
    shop, book, surprises = trading.result()
    audit = Audit(shop, book, AT_ONCE, nothing)
    await audit.run()
    await shop.close()

    assert surprises == []
    assert audit.differences == []
    assert len(book.orders) == audit.compared["order"] == ORDERS
    if name == "host":
        assert shop.figures.retries > 0


def test_data_and_unfinished_orders_survive_an_orderly_restart(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack, Api(stack.base_url) as api:
        customer_id, product_id = api.customer("Ada"), api.product("1.10")
        finished, unfinished = api.order(customer_id, product_id), api.order(customer_id, product_id)
        api.bring(finished, "Completed")
        paths = [
            f"/orders/{finished}?customerId={customer_id}&minVersion=4",
            f"/orders/{unfinished}?customerId={customer_id}",
            f"/customers/{customer_id}/orders",
            f"/customers/{customer_id}/summary",
            f"/products/{product_id}",
        ]
        before = [(path, api.read(path)) for path in paths]
        last = api.post("/orders", order_body(customer_id, product_id), Idempotency_Key="over-the-restart")

    with running_stack(tmp_path) as stack, Api(stack.base_url) as api:
        for path, answer in before[:2] + before[4:]:
            assert api.read(path) == answer, path
        again = api.post("/orders", order_body(customer_id, product_id), Idempotency_Key="over-the-restart")
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.json() == last.json()
        # its events may not even have been published when everything ended
        assert api.details(last.json()["orderId"], customer_id, version_of(last))["total"] == "1.10"
        api.bring(unfinished, "Completed")
        summary = api.read(f"/customers/{customer_id}/summary", after=f"{unfinished}:4")
        assert summary["totalSpent"] == [{"currency": "EUR", "amount": "2.20"}]
        assert api.read(f"/customers/{customer_id}/orders")["totalCount"] == 3
