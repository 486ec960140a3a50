"""Follow ordering's events: reserve stock for submitted orders; release it or ship it when they end."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from shared.catalog.domain.stock import Stock
from shared.catalog.order_statuses import OrderStatuses
from shared.catalog.purchases import Purchases
from shared.catalog.repository import Stocks
from shared.frame.messaging.envelope import Recorded
from shared.frame.messaging.event_types import EventTypes
from shared.ordering.events import (
    OrderCancelledV1,
    OrderCompletedV1,
    OrderConfirmedV1,
    OrderEvent,
    OrderStatus,
    OrderSubmittedV2,
    SubmittedLine,
)

FOLLOWED = EventTypes.only(OrderSubmittedV2, OrderConfirmedV1, OrderCompletedV1, OrderCancelledV1)
"""The events that the catalogue takes. Orders that were submitted before stock existed (V1) get nothing reserved."""

ALTERNATIVES_FOR = 10
"""Lines of one order for which alternatives are searched: each search is one or two queries."""


def follow_order(recorded: Recorded[OrderEvent], stocks: Stocks, statuses: OrderStatuses, purchases: Purchases) -> None:
    """Apply one event. Events come in any order.

    A submission that arrives after its order's cancellation reserves nothing; after its completion, its pieces leave at
    once, for nobody else can have them.
    """
    match recorded.event:
        case OrderSubmittedV2() as event:
            before = statuses.record(event.order_id, OrderStatus.SUBMITTED)
            if before is OrderStatus.CANCELLED or not event.lines:
                return
            purchases.note(event.order_id, [line.product_id for line in event.lines])
            loaded = _reserve(event.order_id, event.lines, recorded.envelope.occurred_at, stocks, purchases)
            if before is OrderStatus.COMPLETED:
                _settle(event.order_id, loaded)
            stocks.save_all(loaded.values())
            statuses.publish_not_kept(event.order_id, len(event.lines) - len(loaded))
        case OrderConfirmedV1() as event:
            statuses.record(event.order_id, OrderStatus.CONFIRMED)
        case OrderCompletedV1() as event:
            statuses.record(event.order_id, OrderStatus.COMPLETED)
            loaded = stocks.load_of_order(event.order_id)
            _settle(event.order_id, loaded)
            stocks.save_all(loaded.values())
        case OrderCancelledV1() as event:
            statuses.record(event.order_id, OrderStatus.CANCELLED)
            loaded = stocks.load_of_order(event.order_id)
            for stock in loaded.values():
                stock.release(event.order_id)
            stocks.save_all(loaded.values())
            if event.was is not OrderStatus.CREATED:
                # a shipment that is booked meanwhile changes a stock that is released here, and one of both loses
                shipped = sum(stock.lines[event.order_id].shipped for stock in loaded.values())
                statuses.publish_settled(event.order_id, shipped)
        case _:
            pass  # an open order reserves nothing


def _reserve(
    order_id: UUID, lines: Sequence[SubmittedLine], submitted_at: datetime, stocks: Stocks, purchases: Purchases
) -> Mapping[UUID, Stock]:
    """Reserve stock for the lines, and search alternatives to missing pieces; give the stock of those that have one."""
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
    return loaded


def _settle(order_id: UUID, loaded: Mapping[UUID, Stock]) -> None:
    """Let the pieces leave that a completed order has reserved."""
    # one that is shipped in part was completed while nothing was reserved for it: pieces that it has were not known of,
    # and have not left
    in_part = any(stock.lines[order_id].shipped for stock in loaded.values())
    end = Stock.release if in_part else Stock.settle
    for stock in loaded.values():
        end(stock, order_id)
