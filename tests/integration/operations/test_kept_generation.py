"""A generation that is kept for a roll-back may be lost or unreadable: what serves shows everything all the same."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from azure.core.exceptions import ResourceNotFoundError

from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.customers import tables as customers
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.frame.messaging.envelope import Metadata
from shared.frame.operations.errors import GenerationIncomplete
from shared.frame.operations.rebuilding import Rebuilding
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.shape import UnreadableShape
from shared.ordering.commands.add_item import AddItem, add_item
from tests.integration.operations.conftest import LiveShop
from tests.integration.operations.test_rebuilding import rolled_back
from tests.support.agreement import assert_everything_agrees


async def lose_the_container(live: LiveShop, generation: int) -> None:
    await live.read_models._database.delete_container(live.orders.container(generation).id)


async def make_a_document_unreadable(live: LiveShop, generation: int) -> None:
    order_id = live.made[0]
    other_shape = [{"op": "set", "path": "/shape", "value": 99}]
    await live.orders.container(generation).patch_item(str(order_id), str(live.owners[order_id]), other_shape)


async def change(live: LiveShop) -> None:
    """Change what an order shows by an event of its own, and by another name."""
    order_id, product_id = live.made[0], live.products[0]
    more = AddItem(order_id=order_id, product_id=product_id, quantity=1)
    live.shop.ordering.run(add_item, more, Metadata())
    await live.project(order_id)
    live.shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="renamed"), Metadata())
    await live.project_product(product_id)
    customer_id = live.customers[0]
    live.shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="Countess"), Metadata())
    with live.shop.customers_engine.connect() as connection:
        *_, renamed = customers.LOG.history(connection, customer_id)
    await live.names.correct_customer(renamed)


type Damage = Callable[[LiveShop, int], Awaitable[None]]


async def keep_the_first(live: LiveShop) -> None:
    """Let the second generation serve, and keep the first one for a roll-back; both show everything."""
    await live.open(customers=1, products=2, orders=1)
    await live.fill_a_standby()
    await asyncio.sleep(await rolled_back(live, even_if_incomplete=True) - time.time() + 0.2)
    assert (await live.orders.served()).generation == 2


async def test_what_serves_shows_everything_though_the_one_that_was_kept_is_gone(live: LiveShop) -> None:
    await keep_the_first(live)
    await lose_the_container(live, 1)

    await change(live)

    await assert_everything_agrees(live.shop, live.orders.container(2), live.catalog.container(1))
    with pytest.raises(GenerationIncomplete):
        await Rebuilding(live.read_models, live.orders_view).roll_back()


async def test_what_serves_shows_an_event_that_a_document_of_the_one_that_was_kept_cannot_take(live: LiveShop) -> None:
    """It is told, for the event may be an erasure."""
    await keep_the_first(live)
    await make_a_document_unreadable(live, 1)

    with pytest.raises(UnreadableShape):
        await change(live)

    await assert_everything_agrees(live.shop, live.orders.container(2), live.catalog.container(1))
    with pytest.raises(GenerationIncomplete):
        await Rebuilding(live.read_models, live.orders_view).roll_back()


@pytest.mark.parametrize(
    ("damage", "error"),
    [(lose_the_container, ResourceNotFoundError), (make_a_document_unreadable, UnreadableShape)],
)
async def test_one_that_is_about_to_serve_is_written_first_or_nothing_is(
    live: LiveShop, damage: Damage, error: type[Exception]
) -> None:
    await live.open(customers=1, products=2, orders=1)
    await live.fill_a_standby()
    await damage(live, 2)
    before = [row async for row in live.orders.container(1).query_items_change_feed(start_time="Beginning")]

    with pytest.raises(error):
        await change(live)
    assert [row async for row in live.orders.container(1).query_items_change_feed(start_time="Beginning")] == before


async def test_a_process_that_never_used_the_container_that_was_kept_does_without_it(live: LiveShop) -> None:
    """The SDK reads a container itself before its first document, and that answer differs from a document's."""
    await keep_the_first(live)
    await lose_the_container(live, 1)

    fresh = CosmosDatabase(live.read_models._settings)
    try:
        other_process = replace(live, read_models=fresh)
        other_process.projected = live.projected
        await change(other_process)
    finally:
        await fresh.close()

    await assert_everything_agrees(live.shop, live.orders.container(2), live.catalog.container(1))
