"""Ship items of a confirmed order."""

from collections import Counter
from typing import Annotated

from pydantic import Field

from shared.catalog.domain.errors import NotReserved, OrderNotConfirmed, OrderNotFound
from shared.catalog.domain.stock import MAX_ON_HAND
from shared.catalog.order_statuses import OrderStatuses
from shared.catalog.repository import Stocks
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, Whole
from shared.ordering.events import MAX_LINES, OrderStatus
from shared.story import ORDER_ID, PRODUCT_ID


class ShippedItem(Input):
    """A product and the number of pieces."""

    product_id: Id
    quantity: Annotated[int, Field(ge=1, le=MAX_ON_HAND), Whole]


class ShipItems(Input, json_schema_extra=example(orderId=ORDER_ID, items=[{"productId": PRODUCT_ID, "quantity": 2}])):
    """Ship items of a confirmed order, at most as many as it has reserved. When all are shipped the order is completed.

    ETag and If-Match are those of the stock of the first item's product, as its inventory shows it.
    """

    order_id: Id
    items: Annotated[list[ShippedItem], Field(min_length=1, max_length=MAX_LINES)]


def ship_items(command: ShipItems, stocks: Stocks, statuses: OrderStatuses) -> Accepted:
    """Ship them, all or none.

    Raises:
        OrderNotFound, OrderNotConfirmed: the order is not confirmed, or the event has not arrived here.
        NotReserved: the order has fewer pieces reserved than are to be shipped.
        StaleVersion: the first item's stock is not at the version that the caller expects.
    """
    status = statuses.status(command.order_id)
    if status is None:
        raise OrderNotFound(f"There is no order {command.order_id}, or none that is submitted.")
    if status is not OrderStatus.CONFIRMED:
        raise OrderNotConfirmed(f"Order {command.order_id} is {status}; only a confirmed order is shipped.")
    wanted = Counter[object]()
    for item in command.items:
        wanted[item.product_id] += item.quantity
    first = command.items[0].product_id
    loaded = stocks.load_for_order(command.order_id, {item.product_id for item in command.items})
    for item in {item.product_id: item for item in command.items}.values():
        if item.product_id not in loaded:
            raise NotReserved(f"Order {command.order_id} has nothing of product {item.product_id} reserved.")
        loaded[item.product_id].ship(command.order_id, wanted[item.product_id])
    accepted = stocks.save_first(loaded.pop(first))
    stocks.save_all(loaded.values())
    return accepted
