"""Documents that are not what the log makes them are found, and made so."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID, uuid4

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.catalog.commands.rate_product import RateProduct, rate_product
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.views.product_details import ReadProduct, partition_key_of, read_product
from shared.frame.messaging.envelope import Metadata
from shared.frame.operations import drift
from shared.frame.read_side import comparing
from shared.frame.read_side.comparing import UNREADABLE
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.views.customer_summary import SUMMARY
from tests.integration.operations.conftest import LiveShop
from tests.support.agreement import assert_everything_agrees
from tests.support.tags import tag_of

type Damage = Callable[[ContainerProxy, str, str], Awaitable[None]]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look twice without a long pause."""
    monkeypatch.setattr(drift, "SECOND_LOOK", 0.01)


async def status_changed(orders: ContainerProxy, customer_id: str, order_id: str) -> None:
    await _set(orders, order_id, customer_id, "/status", "Lost")


async def total_changed(orders: ContainerProxy, customer_id: str, order_id: str) -> None:
    await _set(orders, order_id, customer_id, "/total", 1)


async def name_changed(orders: ContainerProxy, customer_id: str, order_id: str) -> None:
    await _set(orders, order_id, customer_id, "/customerName", "Nobody")


async def counts_changed(orders: ContainerProxy, customer_id: str, _order_id: str) -> None:
    await _set(orders, SUMMARY, customer_id, "/orders/Created", 77)


async def order_lost(orders: ContainerProxy, customer_id: str, order_id: str) -> None:
    await orders.delete_item(order_id, customer_id)


async def summary_lost(orders: ContainerProxy, customer_id: str, _order_id: str) -> None:
    await orders.delete_item(SUMMARY, customer_id)


async def everything_lost(orders: ContainerProxy, customer_id: str, _order_id: str) -> None:
    async for document in orders.query_items("SELECT c.id FROM c", partition_key=customer_id):
        await orders.delete_item(document["id"], customer_id)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "status": (status_changed, "status"),
    "total": (total_changed, "total"),
    "customerName": (name_changed, "customerName"),
    "counts": (counts_changed, "orders"),
    "order lost": (order_lost, "missing"),
    "summary lost": (summary_lost, "missing"),
    "everything lost": (everything_lost, "missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_found_told_and_healed(live: LiveShop, damage: str) -> None:
    await live.open(customers=2, products=3, orders=30)
    orders = live.orders.container(1)
    hurt, what = DAMAGES[damage]
    order_id = live.made[0]
    await hurt(orders, str(live.owners[order_id]), str(order_id))

    found = await drift.check(live.orders_view, live.read_models, await live.orders_view.source.sample(10))

    assert {each.partition_key for each in found} == {str(live.owners[order_id])}
    assert what in {each.what for each in found}
    report = await drift.last_report(live.orders_view, live.read_models)
    assert report is not None
    assert len(report.differences) == len(found)

    assert await drift.heal(live.orders_view, live.read_models) == []
    await assert_everything_agrees(live.shop, orders, live.catalog.container(1))
    report = await drift.last_report(live.orders_view, live.read_models)
    assert report is not None
    assert report.differences == []
    await live.act()
    await assert_everything_agrees(live.shop, orders, live.catalog.container(1))


async def test_a_shop_at_work_does_not_drift(live: LiveShop) -> None:
    await live.open(customers=3, products=3, orders=40)
    for view in (live.orders_view, live.products_view):
        assert await drift.check(view, live.read_models, await view.source.sample(10)) == []
        report = await drift.last_report(view, live.read_models)
        assert report is not None
        assert report.checked == 3


async def test_an_event_that_never_came_is_found_and_healed(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=3)
    order_id = live.shop.order(live.products[0], customer_id=live.customers[0])
    found = await drift.check(live.orders_view, live.read_models, [str(live.customers[0])])
    assert [(each.document_id, each.what) for each in found] == [(str(order_id), "missing")]
    assert await drift.heal(live.orders_view, live.read_models) == []
    await assert_everything_agrees(live.shop, live.orders.container(1), live.catalog.container(1))


async def test_a_document_that_its_next_event_fails_on_is_healed_and_catches_up(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=1)
    order_id, customer_id, orders = live.made[0], str(live.customers[0]), live.orders.container(1)
    await _set(orders, str(order_id), customer_id, "/items", "damaged")
    live.shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=live.products[0], quantity=1), Metadata())
    found = await drift.check(live.orders_view, live.read_models, [customer_id])
    assert [(each.document_id, each.what) for each in found] == [(str(order_id), "items")]
    assert await drift.heal(live.orders_view, live.read_models) == []
    await assert_everything_agrees(live.shop, orders, live.catalog.container(1))


async def test_products_are_healed_too(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=5)
    container, product_id = live.catalog.container(1), str(live.products[0])
    await _set(container, product_id, f"product:{product_id}", "/name", "Nothing")
    await container.delete_item(str(live.products[1]), f"product:{live.products[1]}")
    found = await drift.check(live.products_view, live.read_models, await live.products_view.source.sample(10))
    assert {(each.document_id, each.what) for each in found} == {
        (product_id, "name"),
        (product_id, "in lists: words, item"),
        (str(live.products[1]), "missing"),
    }
    assert await drift.heal(live.products_view, live.read_models) == []
    await assert_everything_agrees(live.shop, live.orders.container(1), container)


async def _set(container: ContainerProxy, document_id: str, partition_key: str, path: str, value: Any) -> None:
    await container.patch_item(document_id, partition_key, [{"op": "set", "path": path, "value": value}])


class Busy:
    """Lets something happen to a shop just before or after each time that somebody reads a summary."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, happenings: Iterable[Awaitable[None]], *, before: bool = False
    ) -> None:
        self.left = list(happenings)
        self.happening = False
        read = ContainerProxy.read_item

        async def and_then(container: ContainerProxy, item: str, partition_key: str, **options: Any) -> Any:
            if before:
                await self.happen(item)
            try:
                return await read(container, item, partition_key, **options)
            finally:
                if not before:
                    await self.happen(item)

        monkeypatch.setattr(ContainerProxy, "read_item", and_then)

    async def happen(self, item: str) -> None:
        """Let the next thing happen."""
        if item == SUMMARY and self.left and not self.happening:
            self.happening = True
            await self.left.pop(0)
            self.happening = False


async def submitted(live: LiveShop, order_id: UUID) -> None:
    live.shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    await live.project(order_id)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("count", [2, 50], ids=["few", "and never a moment without"])
async def test_events_that_come_while_one_looks_are_no_drift(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch, count: int, *, before: bool
) -> None:
    await live.open(customers=1, products=2, orders=0)
    orders = [live.shop.order(live.products[0], customer_id=live.customers[0]) for _ in range(count)]
    for order_id in orders:
        await live.project(order_id)

    busy = Busy(monkeypatch, (submitted(live, order_id) for order_id in orders), before=before)
    assert await drift.check(live.orders_view, live.read_models, [str(live.customers[0])]) == []
    assert len(busy.left) < len(orders)
    for unused in busy.left:
        await unused


async def test_a_customer_whose_summary_is_lost_and_whose_order_is_behind_is_healed(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=0)
    customer_id = str(live.customers[0])
    order_id = live.shop.order(live.products[0], customer_id=live.customers[0])
    await live.project(order_id)
    await live.orders.container(1).delete_item(SUMMARY, customer_id)
    live.shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())

    assert await drift.check(live.orders_view, live.read_models, [customer_id])
    assert await drift.heal(live.orders_view, live.read_models) == []
    await assert_everything_agrees(live.shop, live.orders.container(1), live.catalog.container(1))


async def test_a_summary_that_comes_back_while_it_is_healed_is_healed_all_the_same(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live.open(customers=1, products=2, orders=20)
    customer_id = str(live.customers[0])
    await live.orders.container(1).delete_item(SUMMARY, customer_id)
    assert await drift.check(live.orders_view, live.read_models, [customer_id])

    async def ordered() -> None:
        await live.project(live.shop.order(live.products[0], customer_id=live.customers[0]))

    Busy(monkeypatch, [ordered()])

    assert await drift.heal(live.orders_view, live.read_models) == []
    await assert_everything_agrees(live.shop, live.orders.container(1), live.catalog.container(1))


async def test_of_a_customer_with_very_many_orders_only_some_are_read(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "COMPARED", 4)
    await live.open(customers=1, products=2, orders=30)
    customer_id, orders = str(live.customers[0]), live.orders.container(1)
    first = min(str(order_id) for order_id in live.made)
    await _set(orders, first, customer_id, "/status", "Lost")

    def refused(_self: ContainerProxy, *_values: Any, **_options: Any) -> Any:
        raise AssertionError("the whole partition was asked for")

    monkeypatch.setattr(ContainerProxy, "query_items", refused)
    found = await drift.check(live.orders_view, live.read_models, [customer_id])
    assert [(each.document_id, each.what) for each in found] == [(first, "status")]


async def product_renamed(live: LiveShop, product_id: UUID) -> None:
    await _set(live.catalog.container(1), str(product_id), partition_key_of(product_id), "/name", "Nothing")


async def product_lost(live: LiveShop, product_id: UUID) -> None:
    await live.catalog.container(1).delete_item(str(product_id), partition_key_of(product_id))


async def product_unreadable(live: LiveShop, product_id: UUID) -> None:
    await _set(live.catalog.container(1), str(product_id), partition_key_of(product_id), "/shape", 99)


async def product_behind(live: LiveShop, product_id: UUID) -> None:
    live.shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="Mate"), Metadata())


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (product_renamed, "name"),
        (product_lost, "missing"),
        (product_unreadable, UNREADABLE),
        (product_behind, "behind"),
    ],
)
async def test_a_product_with_very_many_ratings_is_found_wrong_and_healed(
    live: LiveShop,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[LiveShop, UUID], Awaitable[None]],
    what: str,
) -> None:
    monkeypatch.setattr(comparing, "COMPARED", 4)
    await live.open(customers=0, products=1, orders=0)
    [product_id], home = live.products, partition_key_of(live.products[0])
    for rating in (1, 2, 3, 4, 5):
        rated = RateProduct(product_id=product_id, customer_id=uuid4(), rating=rating)
        await live.project_product(live.shop.catalog.run(rate_product, rated, Metadata()).aggregate_id)
    assert await drift.check(live.products_view, live.read_models, [home]) == []
    await damage(live, product_id)

    found = await drift.check(live.products_view, live.read_models, [home])
    assert (str(product_id), what) in {(each.document_id, each.what) for each in found}
    assert await drift.heal(live.products_view, live.read_models) == []
    right = await live.catalog.container(1).read_item(str(product_id), home)
    assert (right["ratingSum"], right["ratingCount"]) == (15, 5)
    assert await live.products_view.source.differences(live.catalog.container(1), home) == []
    await assert_everything_agrees(live.shop, live.orders.container(1), live.catalog.container(1))


async def summary_renamed(orders: ContainerProxy, customer_id: str, _order_id: str) -> None:
    await _set(orders, SUMMARY, customer_id, "/customerName", "Nobody")


@pytest.mark.parametrize(("damage", "what"), [(summary_renamed, "customerName"), (summary_lost, "missing")])
async def test_the_summary_of_a_customer_with_very_many_orders_is_found_wrong_and_healed(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch, damage: Damage, what: str
) -> None:
    monkeypatch.setattr(comparing, "COMPARED", 2)
    await live.open(customers=1, products=2, orders=20)
    customer_id, orders = str(live.customers[0]), live.orders.container(1)
    assert await drift.check(live.orders_view, live.read_models, [customer_id]) == []
    await damage(orders, customer_id, "")

    found = await drift.check(live.orders_view, live.read_models, [customer_id])
    assert [(each.document_id, each.what) for each in found] == [(SUMMARY, what)]
    assert await drift.heal(live.orders_view, live.read_models) == []
    await assert_everything_agrees(live.shop, orders, live.catalog.container(1))


async def test_what_was_healed_has_another_etag(live: LiveShop) -> None:
    await live.open(customers=1, products=1, orders=0)
    product_id, container = live.products[0], live.catalog.container(1)
    await _set(container, str(product_id), f"product:{product_id}", "/name", "Nothing")
    wrong, version = await read_product(Served(container, 1), ReadProduct(product_id=product_id), wait=NO_WAIT)
    assert wrong.name == "Nothing"

    await drift.check(live.products_view, live.read_models, [f"product:{product_id}"])
    await drift.heal(live.products_view, live.read_models)

    right, healed = await read_product(Served(container, 1), ReadProduct(product_id=product_id), wait=NO_WAIT)
    assert right.name == "product 0"
    assert tag_of(right, healed) != tag_of(wrong, version)


async def test_a_check_with_little_time_looks_at_what_was_reported_and_one_partition_more(live: LiveShop) -> None:
    await live.open(customers=4, products=2, orders=8)
    *others, damaged = (str(customer_id) for customer_id in live.customers)
    await counts_changed(live.orders.container(1), damaged, "")

    assert not await drift.check(live.orders_view, live.read_models, [*others, damaged], within=0)
    report = await drift.last_report(live.orders_view, live.read_models)
    assert report is not None
    assert report.checked == 1

    await drift.check(live.orders_view, live.read_models, [damaged])
    [still] = await drift.check(live.orders_view, live.read_models, others, within=0)
    assert still.partition_key == damaged
    report = await drift.last_report(live.orders_view, live.read_models)
    assert report is not None
    assert report.checked == 2
