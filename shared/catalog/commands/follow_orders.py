"""Follow ordering: reserve what is ordered, and release or let leave what an order needs no more."""

from shared.catalog.repository import Orders, Stocks
from shared.frame.messaging.envelope import Recorded
from shared.ordering.events import (
    OrderCancelledV1,
    OrderCompletedV1,
    OrderConfirmedV1,
    OrderEvent,
    OrderStatus,
    OrderSubmittedV2,
)

FOLLOWED = (OrderSubmittedV2, OrderConfirmedV1, OrderCompletedV1, OrderCancelledV1)
"""The events that matter here. Orders that were submitted before there was stock (V1) have nothing reserved."""

OVER = {OrderStatus.COMPLETED, OrderStatus.CANCELLED}


def follow_order(recorded: Recorded[OrderEvent], stocks: Stocks, orders: Orders) -> None:
    """Take one event in. They come in any order: an order that is over when its submission comes gets nothing."""
    match recorded.event:
        case OrderSubmittedV2() as event:
            before = orders.hear(event.order_id, OrderStatus.SUBMITTED)
            if before in OVER or not event.lines:
                return
            loaded = stocks.load_for_order(event.order_id, {line.product_id for line in event.lines})
            for line in event.lines:
                if line.product_id in loaded:
                    stock = loaded[line.product_id]
                    stock.reserve(event.order_id, line.quantity, recorded.envelope.occurred_at)
            stocks.save_all(loaded.values())
        case OrderConfirmedV1() as event:
            orders.hear(event.order_id, OrderStatus.CONFIRMED)
        case OrderCompletedV1() as event:
            orders.hear(event.order_id, OrderStatus.COMPLETED)
            loaded = stocks.load_of_order(event.order_id)
            for stock in loaded.values():
                stock.settle(event.order_id)
            stocks.save_all(loaded.values())
        case OrderCancelledV1() as event:
            orders.hear(event.order_id, OrderStatus.CANCELLED)
            loaded = stocks.load_of_order(event.order_id)
            for stock in loaded.values():
                stock.release(event.order_id)
            stocks.save_all(loaded.values())
        case _:
            pass  # what an open order is made of reserves nothing
