"""The products that are out of stock, for those who keep the stock: a query of the list entries."""

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.catalog.views.inventory import ProductInventory
from shared.catalog.views.product_lists import page_of, wait_for_product
from shared.catalog.views.stock_level import available
from shared.frame.platform.examples import example
from shared.frame.platform.input import AFTER_SCHEMA, After, Digits, QueryInput, read_after
from shared.frame.platform.output import Answer
from shared.frame.read_side.cursors import LONGEST
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import Wait


class InventoryList(Answer):
    """A page of products with their stock; `next` is the cursor of the next page, null on the last one."""

    items: list[ProductInventory]
    next: str | None


class ListOutOfStock(QueryInput, json_schema_extra=example(take=20)):
    """A page of the products whose stock is kept, and of which all pieces are reserved or sold."""

    cursor: Annotated[str, StringConstraints(max_length=LONGEST)] | None = Field(
        default=None, description="the `next` of the page before"
    )
    take: Annotated[int, Field(ge=1, le=100), Digits] = 20
    after: Annotated[After, read_after("productId"), AFTER_SCHEMA] | None = None


async def list_out_of_stock(served: Served, query: ListOutOfStock, wait: Wait) -> InventoryList:
    """Read a page; raises as list_products."""
    await wait_for_product(served, query.after, wait)
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
