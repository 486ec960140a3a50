"""Whatever goes through many documents pauses on the way: nobody else is kept from the event loop for long."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.frame.operations import drift, lag
from shared.frame.operations.drift import last_report
from shared.frame.operations.lag import measure, move_mark
from shared.frame.operations.read_model_routes import watch
from shared.frame.operations.rebuilding import Rebuilding, Step
from shared.frame.platform import background
from shared.frame.read_side import comparing
from shared.ordering.views.customer_summary import SUMMARY
from tests.integration.operations.conftest import LiveShop
from tests.integration.operations.test_rebuilding import carried_on

FOREVER = 2.0**40
MANY, VERY_MANY = 60, 200
MOST, MOST_OF_A_BATCH = 24, 100
"""Documents asked for without a pause; what is looked up besides, a mark or a lease, is counted too."""


class Asked:
    """Counts the documents that are asked for from one pause to the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.documents = [0]
        for name in ("read_item", "create_item", "replace_item", "delete_item", "execute_item_batch"):
            monkeypatch.setattr(ContainerProxy, name, self._counted(getattr(ContainerProxy, name)))
        monkeypatch.setattr(background, "asyncio", SimpleNamespace(sleep=self._pause))

    def forget(self) -> None:
        """Begin to count."""
        self.documents = [0]

    def _counted(self, real: Any) -> Any:
        async def counted(container: ContainerProxy, what: Any, *values: Any, **options: Any) -> Any:
            self.documents[-1] += len(what) if isinstance(what, list) else 1
            return await real(container, what, *values, **options)

        return counted

    async def _pause(self, _seconds: float) -> None:
        self.documents.append(0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Count from now on."""
    return Asked(monkeypatch)


async def with_orders(live: LiveShop, count: int, customers: int = 1) -> None:
    """Have so many orders of each customer."""
    await live.open(customers=customers, products=2, orders=0)
    for customer_id in live.customers:
        for _ in range(count):
            await live.project(live.shop.order(*live.products, customer_id=customer_id))


async def test_the_watch_pauses(live: LiveShop, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "SETTLED", timedelta(0))
    await with_orders(live, MANY)
    asked.forget()
    await move_mark(live.orders_view, live.read_models, 1, FOREVER)
    assert sum(asked.documents) > MANY
    assert max(asked.documents) <= MOST


async def test_two_watches_at_once_are_as_one(live: LiveShop, monkeypatch: pytest.MonkeyPatch) -> None:
    # measured on the real host: a run by hand overlaps with the scheduled one
    monkeypatch.setattr(lag, "SETTLED", timedelta(0))
    await with_orders(live, 12)
    await asyncio.gather(*(watch(live.orders_view, live.read_models, FOREVER) for _ in range(2)))
    report = await last_report(live.orders_view, live.read_models)
    assert report is not None
    assert report.differences == []
    assert (await measure(live.orders_view, live.read_models, generation=1)).unapplied == 0


async def test_an_operator_who_asks_how_far_a_view_is_behind_pauses_too(live: LiveShop, asked: Asked) -> None:
    await with_orders(live, MANY)
    asked.forget()
    assert (await measure(live.orders_view, live.read_models, generation=1)).examined == MANY
    assert max(asked.documents) <= MOST


async def test_a_check_of_very_many_orders_pauses(
    live: LiveShop, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "COMPARED", MANY - 1)
    await with_orders(live, MANY)
    asked.forget()
    assert await drift.check(live.orders_view, live.read_models, [str(live.customers[0])]) == []
    assert sum(asked.documents) >= MANY
    assert max(asked.documents) <= MOST


async def test_a_check_of_many_customers_pauses(live: LiveShop, asked: Asked) -> None:
    await with_orders(live, 1, customers=5)
    asked.forget()
    sample = await live.orders_view.source.sample(5)
    assert await drift.check(live.orders_view, live.read_models, sample) == []
    assert len(asked.documents) == 1 + len(sample)


async def test_healing_many_customers_pauses(live: LiveShop, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "SECOND_LOOK", 0.01)
    await with_orders(live, 1, customers=5)
    hurt = [str(customer_id) for customer_id in live.customers]
    for customer_id in hurt:
        await live.orders.container(1).delete_item(SUMMARY, customer_id)
    assert len(await drift.check(live.orders_view, live.read_models, hurt)) == len(hurt)
    asked.forget()
    assert await drift.heal(live.orders_view, live.read_models) == []
    healed_and_checked = 2 * len(hurt)
    assert len(asked.documents) == 1 + healed_and_checked


async def test_a_rebuild_pauses_while_it_clears_and_while_it_fills(live: LiveShop, asked: Asked) -> None:
    await with_orders(live, VERY_MANY)
    for _ in range(MANY):
        await live.orders.container(2).create_item({"id": str(uuid4()), "customerId": "of a generation long ago"})
    process = Rebuilding(live.read_models, live.orders_view)
    await process.start()
    asked.forget()
    await carried_on(process)
    latest = await process.latest()
    assert latest is not None
    assert (latest.step, latest.written) == (Step.DONE, VERY_MANY + 1)
    assert sum(asked.documents) >= VERY_MANY + MANY
    assert max(asked.documents) <= MOST_OF_A_BATCH
    assert sum(documents <= MOST for documents in asked.documents) > MANY // MOST  # the clearing
