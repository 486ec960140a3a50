"""Correct the stock of a product after a count."""

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.catalog.domain.stock import MAX_ON_HAND
from shared.catalog.purchases import Purchases
from shared.catalog.repository import Stocks
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, Text, Whole
from shared.story import PRODUCT_ID


class RecountStock(Input, json_schema_extra=example(productId=PRODUCT_ID, counted=38, reason="Two were broken")):
    """Correct the number of pieces. If there are fewer than orders have reserved, the youngest orders wait again.

    ETag and If-Match are those of the stock, as its inventory shows it, not of the product.
    """

    product_id: Id
    counted: Annotated[int, Field(ge=0, le=MAX_ON_HAND), Whole]
    reason: Annotated[Text, StringConstraints(min_length=1, max_length=200)]


def recount_stock(command: RecountStock, stocks: Stocks, purchases: Purchases) -> Accepted:
    """Recount it; refused as Stock.recount says."""
    stock = stocks.load_for_recount(command.product_id, command.counted)
    some_wait_again = command.counted < stock.level.reserved
    alternatives = purchases.alternatives_to(command.product_id) if some_wait_again else None
    stock.recount(command.counted, command.reason, alternatives)
    return stocks.save(stock)
