"""The routes for those who operate the read models, in a stack of their own, with customers who go on ordering."""

import asyncio
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.api import Api, eventually, order_body, problem
from tests.e2e.documents import damage
from tests.support.api import async_client
from tests.support.stack import Stack, running_stack

REBUILT_WITHIN = 180.0
"""Seconds for a rebuild, which takes 45 on an idle machine, and for the lease of a process that has died."""


@pytest.fixture(scope="module")
def own() -> Iterator[Stack]:
    """A stack whose read models may be rebuilt."""
    with running_stack(settings={"WatchSchedule": "*/2 * * * * *"}) as stack:
        yield stack


@pytest.fixture(scope="module")
def shop(own: Stack) -> Iterator[Api]:
    with Api(own) as api:
        yield api


def status(api: Api, view: str = "orders") -> dict[str, Any]:
    found: dict[str, Any] = api.read(f"/ops/projections/{view}")
    return found


def step(api: Api) -> str | None:
    rebuild: dict[str, str] | None = status(api)["rebuild"]
    return rebuild["step"] if rebuild else None


def test_a_view_that_was_never_rebuilt_has_one_generation_and_nothing_to_undo(shop: Api) -> None:
    views = shop.read("/ops/projections")["items"]
    assert [(view["view"], view["serving"], view["standby"], view["rebuild"]) for view in views] == [
        ("orders", 1, None, None),
        ("products", 1, None, None),
        ("related", 1, None, None),
    ]
    for action in ("roll-back", "retire"):
        problem(shop.post(f"/ops/projections/orders/{action}"), 409, "no-other-generation")
    problem(shop.post("/ops/projections/orders/cancel"), 409, "no-rebuild-under-way")


@pytest.mark.parametrize("action", ["rebuild", "cancel", "roll-back", "retire", "check", "heal"])
def test_a_view_that_is_not_there_is_404(shop: Api, action: str) -> None:
    told = problem(shop.post(f"/ops/projections/invoices/{action}"), 404, "view-not-found")
    assert "orders, products, related" in told["detail"]
    problem(shop.get("/ops/projections/invoices"), 404, "view-not-found")


def test_an_event_that_waits_for_the_service_bus_is_lag_until_it_has_come(own: Stack, shop: Api) -> None:
    order_id = shop.order(shop.customer(), shop.product())
    eventually(lambda: status(shop)["lag"]["unapplied"] == 0, "all is applied")
    with own.stopped("servicebus"):
        assert shop.post(f"/orders/{order_id}/submit").status_code == 204
        first, second = status(shop)["lag"], status(shop)["lag"]
        assert first["unapplied"] == 1
        assert 0 < first["oldestAge"] < second["oldestAge"]
    eventually(lambda: status(shop)["lag"]["unapplied"] == 0, "it is applied")
    assert status(shop)["lag"]["oldestAge"] is None


def test_damage_is_found_by_the_customer_and_healed_and_recorded(own: Stack, shop: Api) -> None:
    customer_id, product_id = shop.customer(), shop.product()
    order_id = shop.order(customer_id, product_id)
    damage(own, order_id, customer_id, status="Lost")
    checked = shop.post("/ops/projections/orders/check", {"ids": [customer_id], "sample": 0}).json()
    assert checked["drift"]["differences"] == [{"documentId": order_id, "partitionKey": customer_id, "what": "status"}]
    assert shop.post("/ops/projections/orders/heal").json()["drift"]["differences"] == []
    assert shop.details(order_id, customer_id)["status"] == "Created"
    [newest, *_] = shop.read("/ops/audit", take=1)["items"]
    assert (newest["action"], newest["subject"], newest["outcome"] is None) == ("heal", "orders", False)

    assert shop.post("/ops/projections/products/check", {"ids": [product_id], "sample": 0}).status_code == 200
    for view in ("orders", "products"):
        answer = shop.post(f"/ops/projections/{view}/check", {"ids": [str(uuid4())]})
        problem(answer, 404, "partition-not-found")


@dataclass
class Clients:
    """Customers who order, change and look; none of them ever wants to see an order go back, or vanish."""

    http: httpx.AsyncClient
    product_id: str
    customers: list[str]
    orders: dict[str, str] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    phase: str = "before"
    chance: random.Random = field(default_factory=lambda: random.Random(11))

    async def order(self) -> None:
        """Create an order, and submit another."""
        customer_id = self.chance.choice(self.customers)
        answer = await self.http.post("/api/orders", json=order_body(customer_id, self.product_id))
        assert answer.status_code == 201, answer.text
        self.orders[answer.json()["orderId"]] = customer_id
        order_id = self.chance.choice(list(self.orders))
        answer = await self.http.post(f"/api/orders/{order_id}/submit")
        assert answer.status_code in {204, 409}, answer.text

    async def look(self) -> None:
        """Look at an order: at least what anybody has seen of it before is to be there."""
        if not self.orders:
            await asyncio.sleep(0)
            return
        order_id = self.chance.choice(list(self.orders))
        at_least, begin = self.seen.get(order_id, 0), time.perf_counter()
        answer = await self.http.get(f"/api/orders/{order_id}", params={"customerId": self.orders[order_id]})
        self.seconds.setdefault(self.phase, []).append(time.perf_counter() - begin)
        version = answer.json()["version"] if answer.status_code == 200 else 0
        if version < at_least or answer.status_code not in {200, 404}:
            self.wrong.append(f"{order_id}: {at_least}, then {version} ({answer.status_code})")
        self.seen[order_id] = max(version, self.seen.get(order_id, 0))


async def test_customers_notice_neither_a_rebuild_whose_host_dies_nor_the_way_back(own: Stack, shop: Api) -> None:
    customers, product_id = [shop.customer() for _ in range(6)], shop.product()
    stop = asyncio.Event()
    async with async_client(own) as http:
        clients = Clients(http, product_id, customers)

        async def repeat(act: Any) -> None:
            while not stop.is_set():
                try:
                    await act()
                except httpx.TransportError:  # the host that died
                    await asyncio.sleep(0.2)

        async with asyncio.TaskGroup() as group:
            for act in (clients.order, clients.look, clients.look):
                group.create_task(repeat(act))
            try:
                await asyncio.to_thread(rebuild_and_go_back, own, shop, clients)
            finally:
                stop.set()
    for phase, seconds in clients.seconds.items():
        cuts = statistics.quantiles(seconds, n=100)
        print(f"{phase}: {len(seconds)} queries, p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms")  # noqa: T201  # its figures
    assert clients.wrong == []
    for order_id, customer_id in clients.orders.items():
        shop.details(order_id, customer_id)
    checked = shop.post("/ops/projections/orders/check", {"ids": customers, "sample": 0}).json()
    assert checked["drift"]["differences"] == []


def rebuild_and_go_back(stack: Stack, api: Api, clients: Clients) -> None:
    eventually(lambda: len(clients.orders) > 20, "there are orders", 60)
    before = status(api)["serving"]
    clients.phase = "during a rebuild"
    started = api.post("/ops/projections/orders/rebuild").json()
    assert started["rebuild"]["step"] == "retiring"
    for action in ("rebuild", "roll-back", "retire"):
        problem(api.post(f"/ops/projections/orders/{action}"), 409, "rebuild-under-way")
    eventually(lambda: step(api) == "joining", "the new generation is written", 60)
    stack.kill("host")
    clients.phase = "after the host's death"
    stack.wait_ready()
    eventually(lambda: step(api) == "done", "another process has finished the rebuild", REBUILT_WITHIN)
    after = status(api)
    assert (after["serving"], after["standby"]) == (before + 1, before)
    assert after["rebuild"]["documents"] >= after["rebuild"]["total"] > 20

    clients.phase = "around the roll-back"
    agreed = api.post("/ops/projections/orders/roll-back").json()
    assert agreed["switchAt"]
    for action in ("rebuild", "roll-back", "retire"):
        problem(api.post(f"/ops/projections/orders/{action}"), 409, "switch-under-way")
    eventually(lambda: status(api)["serving"] == before, "it is rolled back", 60)
    done = [
        (entry["action"], "error" in (entry["outcome"] or {}).get("details", {}))
        for entry in api.read("/ops/audit")["items"]
    ]
    assert done[:10].count(("rebuild", False)) == 1
    assert ("roll-back", False) in done
    assert ("roll-back", True) in done
