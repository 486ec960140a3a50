"""The products that are out of stock, for those who keep the stock: a query of the list entries."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field, StringConstraints

from shared.catalog.views import product_details, stock_level
from shared.catalog.views.inventory import ProductInventory
from shared.catalog.views.product_details import partition_key_of
from shared.catalog.views.product_lists import LISTS, page_of
from shared.catalog.views.stock_level import available, stock_document_of
from shared.frame.platform.examples import example
from shared.frame.platform.input import AFTER_SCHEMA, After, Digits, QueryInput, read_after
from shared.frame.platform.output import Answer
from shared.frame.read_side.cursors import LONGEST
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import Wait, point_read, read_at_least


class InventoryList(Answer):
    """A page of products with their stock; `next` is the cursor of the next page, null on the last one."""

    items: list[ProductInventory]
    next: str | None


class ListOutOfStock(QueryInput, json_schema_extra=example(take=20)):
    """A page of the products whose stock is kept, and of which all pieces are reserved or sold.

    `after` has the stock's version, as receipts and recounts answer it.
    """

    cursor: Annotated[str, StringConstraints(max_length=LONGEST)] | None = Field(
        default=None, description="the `next` of the page before"
    )
    take: Annotated[int, Field(ge=1, le=100), Digits] = 20
    after: Annotated[After, read_after("productId"), AFTER_SCHEMA] | None = None


async def list_out_of_stock(served: Served, query: ListOutOfStock, wait: Wait) -> InventoryList:
    """Read a page; raises as list_products."""
    if query.after is not None:
        await _wait_for_stock(served, query.after, wait)
    entries, more = await page_of("out-of-stock", served, ["c.outOfStock = true"], {}, query.cursor, query.take)
    return InventoryList(
        items=[
            ProductInventory(
                product_id=entry["id"],
                name=entry["item"]["name"],
                current_stock=entry["item"]["stock"]["onHand"],
                reserved=entry["item"]["stock"]["reserved"],
                available=available(entry["item"]["stock"]),
                waiting=entry["item"]["stock"]["waiting"],
            )
            for entry in entries
        ],
        next=more,
    )


async def _wait_for_stock(served: Served, after: After, wait: Wait) -> None:
    """Wait until a product's stock is at a version, and then until the product's entry shows it; as read_at_least.

    An entry has no version of the stock, but counts the changes of both documents that it is made of.
    """
    product_id, view = str(after.id), partition_key_of(after.id)
    stock = await read_at_least(served.container, stock_document_of(after.id), view, after.version, wait)
    product = await point_read(served.container, product_id, view)
    of_product = 1 if product is None else product_details.SHAPES.read(product)["changes"]  # its entry comes with it
    shown = of_product + stock_level.changes_of(stock and stock_level.SHAPES.read(stock))
    # the log does not count changes, so it cannot tell that they are far away
    await read_at_least(served.container, product_id, LISTS, shown, replace(wait, logged=None), counter="changes")
