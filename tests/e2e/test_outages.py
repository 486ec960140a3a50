"""Processes killed under load, and a whole stack stopped and started: nothing is lost, and nothing is done twice."""

import asyncio
import os
import secrets
import time
from itertools import count, takewhile
from pathlib import Path
from random import Random
from uuid import uuid4

from infra.local.demo.audit import Audit
from infra.local.demo.book import Book
from infra.local.demo.day import Day
from infra.local.demo.opening import open_shop
from infra.local.demo.shop import Shop
from tests.e2e.api import Api, order_body, version_of
from tests.support.stack import Stack, running_stack

AT_ONCE = 8
ROUNDS = 7
NAMES = ("host", "servicebus", "cosmos", "payments")
LONGEST_PAUSE = 2.0
"""Seconds from a recovery to the next kill at most. A process that lived for less than five seconds five times in a row
counts as one that fails at starting; so it must not be much less."""

RECOVERS_WITHIN = 120.0
"""Seconds, on a loaded machine."""


def nothing() -> None:
    """Take no notice of progress."""


class Clients:
    """Customers who order without a pause until they are told to go home."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.shop, self.book = Shop(stack.base_url, stack.token(), AT_ONCE), Book()
        self.orders = 0
        self._seed = seed
        self._is_open = True

    async def order(self) -> list[str]:
        """Order until `go_home`; what was answered that must not be."""
        await open_shop(self.shop, self.book, self._seed, customers=20, products=8, at_once=AT_ONCE, advance=nothing)
        numbers = takewhile(lambda _: self._is_open, count())
        return await Day(self.shop, self.book, self._seed).trade(numbers, AT_ONCE, self._one_more)

    def go_home(self) -> None:
        """Begin no more orders."""
        self._is_open = False

    def _one_more(self) -> None:
        self.orders += 1


async def recovery(shop: Shop) -> float:
    """Seconds until somebody new has registered and ordering shows it: what passes every process once."""
    begin, customer_id = time.monotonic(), str(uuid4())
    await shop.accepted(
        "/customers", {"customerId": customer_id, "name": "Eve", "email": f"{customer_id}@example.com"}, version=1
    )
    while "customerName" not in await shop.query(f"/customers/{customer_id}/summary", minVersion=1):
        assert time.monotonic() - begin < RECOVERS_WITHIN, "an event is lost or late"  # each query waits for it
    return time.monotonic() - begin


async def test_processes_killed_again_and_again_under_load_cost_nothing_but_time() -> None:
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
    print(f"CHAOS_SEED={seed}")
    chance, recoveries = Random(seed), dict[str, list[float]]()
    with running_stack() as stack:
        clients, watcher = Clients(stack, seed), Shop(stack.base_url, stack.token(), 1)
        async with asyncio.TaskGroup() as group:
            trading = group.create_task(clients.order())
            for name in (name for _ in range(ROUNDS) for name in chance.sample(NAMES, len(NAMES))):
                before = clients.orders
                await asyncio.sleep(chance.uniform(0, LONGEST_PAUSE))
                while clients.orders == before:
                    assert not trading.done(), "kills must come under load"
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(stack.kill, name)
                recoveries.setdefault(name, []).append(await recovery(watcher))
            clients.go_home()
        audit = Audit(clients.shop, clients.book, AT_ONCE, nothing)
        await audit.run()
        await clients.shop.close()
        await watcher.close()
    figures = clients.shop.figures
    print(f"{figures.commands} commands accepted, {figures.retries} requests sent again, {figures.replayed} replayed")
    for name, seconds in recoveries.items():
        print(f"{name}: killed {len(seconds)} times, back in {min(seconds):.1f} to {max(seconds):.1f} s")

    assert sum(map(len, recoveries.values())) == ROUNDS * len(NAMES)
    assert figures.retries > 0
    assert trading.result() == []
    assert audit.differences == []
    assert audit.compared["order"] == len(clients.book.orders) == clients.orders > 0


def test_data_and_unfinished_orders_survive_an_orderly_restart(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack, Api(stack) as api:
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

    with running_stack(tmp_path) as stack, Api(stack) as api:
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
