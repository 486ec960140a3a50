"""The stock of a product, for those who keep it."""

import asyncio
from uuid import UUID

from shared.catalog.domain.errors import ProductNotFound
from shared.catalog.views import product_details, stock_level
from shared.catalog.views.product_details import partition_key_of
from shared.catalog.views.stock_level import available, stock_document_of
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, QueryInput, Version
from shared.frame.platform.output import Answer
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import Wait, point_read, read_at_least
from shared.story import PRODUCT_ID


class ProductInventory(Answer):
    """The stock of a product; `currentStock` and `available` are null if its stock is not kept."""

    product_id: UUID
    name: str
    current_stock: int | None
    reserved: int
    available: int | None
    waiting: int


class InventoryDetails(ProductInventory):
    """The stock of a product, with its version, which If-Match of receipts, recounts and shipments names.

    `currentStock`, `available` and `version` are null if its stock is not kept.
    """

    version: int | None


class ReadInventory(QueryInput, json_schema_extra=example(productId=PRODUCT_ID)):
    """The stock of a product; `minVersion` is the stock's version, as receipts and recounts answer it."""

    product_id: Id
    min_version: Version | None = None


async def read_inventory(served: Served, query: ReadInventory, wait: Wait) -> tuple[InventoryDetails, int | None]:
    """Read the stock of a product and its version; None if no stock is kept.

    Raises:
        ProductNotFound: there is no such product, or none that has been projected yet.
        UnreadableShape: another release wrote it.
        Unavailable: the stock is not at `min_version` in time, or its product is not there yet.
    """
    product_id, view = query.product_id, partition_key_of(query.product_id)
    stock_id = stock_document_of(product_id)
    if query.min_version is not None:
        await read_at_least(served.container, stock_id, view, query.min_version, wait)
        await read_at_least(served.container, str(product_id), view, 1, wait)  # may be projected after its stock
    product, stock = await asyncio.gather(
        point_read(served.container, str(product_id), view), point_read(served.container, stock_id, view)
    )
    if product is None:
        raise ProductNotFound(f"There is no product {product_id}.")
    kept = stock_level.SHAPES.read(stock) if stock else None
    inventory = InventoryDetails(
        product_id=product_id,
        name=product_details.SHAPES.read(product)["name"],
        current_stock=kept["onHand"] if kept else None,
        reserved=kept["reserved"] if kept else 0,
        available=available(kept),
        waiting=kept["waiting"] if kept else 0,
        version=kept["version"] if kept else None,
    )
    return inventory, inventory.version
