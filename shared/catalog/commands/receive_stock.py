"""Receive pieces of a product."""

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.catalog.domain.stock import MAX_ON_HAND
from shared.catalog.repository import Stocks
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, Text, Whole
from shared.story import PRODUCT_ID


class ReceiveStock(Input, json_schema_extra=example(productId=PRODUCT_ID, quantity=40, reference="Delivery 17")):
    """Receive pieces; waiting orders get them first. The first receipt begins the keeping of the product's stock.

    ETag and If-Match are those of the stock, as its inventory shows it, not of the product.
    """

    product_id: Id
    quantity: Annotated[int, Field(ge=1, le=MAX_ON_HAND), Whole]
    reference: Annotated[Text, StringConstraints(min_length=1, max_length=100)] | None = None


def receive_stock(command: ReceiveStock, stocks: Stocks) -> Accepted:
    """Receive it; refused as Stock.receive says."""
    stock = stocks.load_or_begin(command.product_id)
    stock.receive(command.quantity, command.reference)
    return stocks.save(stock)
