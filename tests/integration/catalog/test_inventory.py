"""Reads of a product and of its stock, which are two documents: either may be projected first."""

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.domain.stock import stock_of
from shared.catalog.tables import LOG
from shared.catalog.views import product_projection
from shared.catalog.views.inventory import ReadInventory, read_inventory
from shared.catalog.views.product_details import ReadProduct, read_product
from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.generations import Served
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import wait_for
from shared.kernel.refusals import Unavailable
from tests.support.containers import only
from tests.support.shop import Shop
from tests.support.waiting import gone_afterwards, until_all_wait

if TYPE_CHECKING:
    from shared.catalog.events import CatalogEvent


class Added:
    """A product that was added with five pieces, of which nothing is projected yet."""

    def __init__(self, shop: Shop, container: ContainerProxy) -> None:
        command = AddProduct(name="Tea", unit_price=Decimal(1), currency="EUR", category="c", initial_stock=5)
        shop.catalog.run(add_product, command, Metadata())
        self.product_id, self.served = command.product_id, Served(container, 1)
        self._shop = shop
        self._projection: Projection[CatalogEvent] = Projection(
            only(container), shop.catalog_engine, LOG, product_projection.project
        )

    async def show_product(self) -> None:
        """Project that it was added."""
        await self._project(self.product_id)

    async def show_stock(self) -> None:
        """Project that its first pieces came in."""
        await self._project(stock_of(self.product_id))

    async def _project(self, aggregate_id: UUID) -> None:
        with self._shop.catalog_engine.connect() as connection:
            [recorded] = LOG.history(connection, aggregate_id)
        await self._projection.project(recorded)


@pytest.fixture
def added(shop: Shop, catalog: ContainerProxy) -> Added:
    return Added(shop, catalog)


async def test_the_inventory_waits_for_the_product_as_well_as_for_its_stock(added: Added) -> None:
    await added.show_stock()
    query = ReadInventory(product_id=added.product_id, min_version=1)
    with pytest.raises(Unavailable, match="version 1 has not arrived yet"):
        await read_inventory(added.served, query, wait_for(0.05))
    reading = asyncio.create_task(read_inventory(added.served, query, wait_for(30)))
    async with gone_afterwards(reading):
        await until_all_wait(1)
        await added.show_product()
        inventory, version = await reading
    assert (inventory.name, inventory.available, version) == ("Tea", 5, 1)


async def test_a_product_is_shown_with_the_stock_that_came_while_the_query_waited(added: Added) -> None:
    query = ReadProduct(product_id=added.product_id, min_version=1)
    reading = asyncio.create_task(read_product(added.served, query, wait_for(30)))
    async with gone_afterwards(reading):
        await until_all_wait(1)
        await added.show_stock()
        await added.show_product()
        product, _ = await reading
    assert (product.available, product.is_out_of_stock) == (5, False)
