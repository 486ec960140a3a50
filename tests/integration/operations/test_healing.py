"""Healing reaches every generation and is seen by clients; a check reports neither too much nor too little."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.domain.stock import stock_of
from shared.catalog.tables import LOG as CATALOG
from shared.catalog.views.product_details import ReadProduct, partition_key_of, read_product
from shared.catalog.views.stock_level import stock_document_of
from shared.frame.messaging.envelope import Metadata
from shared.frame.operations import drift, rebuilding
from shared.frame.operations.rebuilding import Rebuilding
from shared.frame.read_side.comparing import Difference
from shared.frame.read_side.container import Container
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.ordering.views.order_details import ReadOrder, read_order
from tests.integration.operations.conftest import LiveShop
from tests.integration.operations.test_drift import counts_changed, status_changed
from tests.integration.operations.test_rebuilding import rebuilt, rolled_back
from tests.support.agreement import assert_everything_agrees
from tests.support.tags import tag_of


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look twice without a long pause."""
    monkeypatch.setattr(drift, "SECOND_LOOK", 0.01)


async def test_what_is_kept_for_a_roll_back_is_healed_too(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=8)
    await rebuilt(live)
    customer_id = str(live.customers[0])
    for generation in (1, 2):
        await status_changed(live.orders.container(generation), customer_id, str(live.made[0]))
        await counts_changed(live.orders.container(generation), customer_id, "")
    assert await drift.check(live.orders_view, live.read_models, [customer_id])
    assert await drift.heal(live.orders_view, live.read_models) == []

    await asyncio.sleep(await rolled_back(live) - time.time() + 0.2)
    assert (await live.orders.served()).generation == 1
    assert await drift.check(live.orders_view, live.read_models, [customer_id]) == []
    for generation in (1, 2):
        await assert_everything_agrees(live.shop, live.orders.container(generation), live.catalog.container(1))


async def test_a_generation_that_is_given_up_while_partitions_are_healed_is_left_as_it_is_from_then_on(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next rebuild may have begun to clear it."""
    await live.open(customers=2, products=1, orders=0)
    for customer_id in live.customers:
        await live.project(live.shop.order(live.products[0], customer_id=customer_id))
    await rebuilt(live)
    for customer_id in live.customers:
        await counts_changed(live.orders.container(2), str(customer_id), "")
    await drift.check(live.orders_view, live.read_models, map(str, live.customers))
    heal, healed = live.orders_view.source.heal, list[tuple[str, str]]()

    async def and_then_it_is_given_up(container: Container, partition_key: str) -> None:
        healed.append((container.id, partition_key))
        await heal(container, partition_key)
        if len(healed) == 2:
            await Rebuilding(live.read_models, live.orders_view).retire()
            await asyncio.sleep(rebuilding.PROPAGATION_DELAY)

    monkeypatch.setattr(live.orders_view.source, "heal", and_then_it_is_given_up)
    assert await drift.heal(live.orders_view, live.read_models) == []
    first, second = map(str, live.customers)
    assert sorted(healed[:2]) == [("orders", first), ("orders-2", first)]
    assert healed[2:] == [("orders-2", second)]


async def test_an_order_that_was_healed_has_another_etag(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=1)
    order_id, customer_id = live.made[0], live.customers[0]
    container, query = live.orders.container(1), ReadOrder(order_id=live.made[0], customer_id=live.customers[0])
    await container.patch_item(
        str(order_id), str(customer_id), [{"op": "set", "path": "/customerName", "value": "Nobody"}]
    )
    wrong, version = await read_order(Served(container, 1), query, NO_WAIT)
    assert wrong.customer_name == "Nobody"
    await drift.check(live.orders_view, live.read_models, [str(customer_id)])
    await drift.heal(live.orders_view, live.read_models)
    right, healed = await read_order(Served(container, 1), query, NO_WAIT)
    assert (right.customer_name, right.version) == ("customer 0", wrong.version)
    assert tag_of(right, healed) != tag_of(wrong, version)


async def test_a_product_whose_stock_was_healed_has_another_etag(live: LiveShop) -> None:
    """Its stock is a document of its own, with no times of its versions: clients would keep what was wrong."""
    await live.open(customers=0, products=1, orders=0)
    [product_id], container = live.products, live.catalog.container(1)
    live.shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=3), Metadata())
    with live.shop.catalog_engine.connect() as connection:
        [received] = CATALOG.history(connection, stock_of(product_id))
    await live.product_projection.project(received)
    query, home = ReadProduct(product_id=product_id), partition_key_of(product_id)
    damage = [{"op": "set", "path": "/onHand", "value": 99}]
    await container.patch_item(stock_document_of(product_id), home, damage)
    wrong, version = await read_product(Served(container, 1), query, NO_WAIT)
    assert wrong.available == 99
    assert await drift.check(live.products_view, live.read_models, [home])
    assert await drift.heal(live.products_view, live.read_models) == []
    right, healed = await read_product(Served(container, 1), query, NO_WAIT)
    assert (right.available, right.version) == (3, wrong.version)
    assert tag_of(right, healed) != tag_of(wrong, version)


async def test_what_comes_between_the_two_looks_was_on_its_way(live: LiveShop, monkeypatch: pytest.MonkeyPatch) -> None:
    await live.open(customers=1, products=2, orders=1)
    order_id = live.shop.order(live.products[0], customer_id=live.customers[0])
    differences, found = live.orders_view.source.differences, []

    async def and_then_it_comes(container: Container, partition_key: str) -> Sequence[Difference]:
        found.append(await differences(container, partition_key))
        if len(found) == 1:
            await live.project(order_id)
        return found[-1]

    monkeypatch.setattr(live.orders_view.source, "differences", and_then_it_comes)
    assert await drift.check(live.orders_view, live.read_models, [str(live.customers[0])]) == []
    assert [[each.what for each in some] for some in found] == [["missing"], []]
    report = await drift.last_report(live.orders_view, live.read_models)
    assert report is not None
    assert report.differences == []


async def test_two_checks_at_once_lose_nothing_of_what_either_found(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live.open(customers=2, products=1, orders=0)
    one, other = (str(customer_id) for customer_id in live.customers)
    for customer_id in live.customers:
        await live.project(live.shop.order(live.products[0], customer_id=customer_id))
        await counts_changed(live.orders.container(1), str(customer_id), "")
    differences = live.orders_view.source.differences
    begun: list[object] = []

    async def and_meanwhile_another(container: Container, partition_key: str) -> Sequence[Difference]:
        if partition_key == one and not begun:
            begun.append(await drift.check(live.orders_view, live.read_models, [other]))
        return await differences(container, partition_key)

    monkeypatch.setattr(live.orders_view.source, "differences", and_meanwhile_another)
    await drift.check(live.orders_view, live.read_models, [one])
    report = await drift.last_report(live.orders_view, live.read_models)
    assert report is not None
    assert {each.partition_key for each in report.differences} == {one, other}
    assert await drift.heal(live.orders_view, live.read_models) == []
