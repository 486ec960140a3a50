"""Follow ordering: reserve what is ordered, and release or let leave what an order needs no more."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared.catalog.purchases import Purchases
from shared.catalog.repository import Orders, Stocks
from shared.frame.messaging.envelope import Recorded
from shared.ordering.events import (
    OrderCancelledV1,
    OrderCompletedV1,
    OrderConfirmedV1,
    OrderEvent,
    OrderStatus,
    OrderSubmittedV2,
    SubmittedLine,
)

FOLLOWED = (OrderSubmittedV2, OrderConfirmedV1, OrderCompletedV1, OrderCancelledV1)
"""The events that matter here. Orders that were submitted before there was stock (V1) have nothing reserved."""

OVER = {OrderStatus.COMPLETED, OrderStatus.CANCELLED}


ALTERNATIVES_FOR = 10
"""Lines of one order for which alternatives are looked for: each is a look at the database or two."""


def follow_order(recorded: Recorded[OrderEvent], stocks: Stocks, orders: Orders, purchases: Purchases) -> None:
    """Take one event in. They come in any order: an order that is over when its submission comes gets nothing."""
    match recorded.event:
        case OrderSubmittedV2() as event:
            before = orders.hear(event.order_id, OrderStatus.SUBMITTED)
            if before in OVER or not event.lines:
                return
            purchases.note(event.order_id, [line.product_id for line in event.lines])
            kept = _reserve(event.order_id, event.lines, recorded.envelope.occurred_at, stocks, purchases)
            orders.tell_not_kept(event.order_id, len(event.lines) - kept)
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


def _reserve(
    order_id: UUID, lines: Sequence[SubmittedLine], submitted_at: datetime, stocks: Stocks, purchases: Purchases
) -> int:
    """Reserve what is kept of an order's lines, and look for alternatives to what is not there; tell of how many."""
    ordered = {line.product_id for line in lines}
    loaded = stocks.load_for_order(order_id, ordered)
    looked_for = 0
    for line in lines:
        stock = loaded.get(line.product_id)
        if stock is None:
            continue
        alternatives: list[UUID] | None = None
        if not stock.has_for_a_new_order(line.quantity) and looked_for < ALTERNATIVES_FOR:
            alternatives = purchases.alternatives_to(line.product_id, ordered)
            looked_for += 1
        stock.reserve(order_id, line.quantity, submitted_at, alternatives)
    stocks.save_all(loaded.values())
    return len(loaded)
