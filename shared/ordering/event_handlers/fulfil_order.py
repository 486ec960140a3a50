"""Advances an order's fulfilment at the events that may let it go on."""

from dataclasses import dataclass

from shared.catalog.events import AnswerToOrdering, CatalogEvent, OrderSettledV1, StockNotKeptV1
from shared.frame.messaging.envelope import Recorded
from shared.frame.messaging.event_types import EventTypes
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.event_handlers.follow_products import follow_product
from shared.ordering.events import (
    OrderCancelledV1,
    OrderCompletedV1,
    OrderConfirmedV1,
    OrderEvent,
    OrderPaymentChangedV1,
    OrderStatus,
    OrderStockChangedV2,
    OrderSubmittedV2,
)
from shared.ordering.fulfilment.process_manager import ProcessManager
from shared.ordering.fulfilment.repository import Fulfilments
from shared.ordering.repository import Orders

FOLLOWED = EventTypes.only(
    OrderSubmittedV2,
    OrderStockChangedV2,
    OrderPaymentChangedV1,
    OrderConfirmedV1,
    OrderCompletedV1,
    OrderCancelledV1,
)
"""Ordering's own events that may advance a fulfilment."""


@dataclass(frozen=True, slots=True)
class FulfilOrder:
    """Hands events on to the process manager."""

    process_manager: ProcessManager

    def follow_order(self, recorded: Recorded[OrderEvent], orders: Orders, fulfilments: Fulfilments) -> None:
        """Advance the fulfilment after an event of its order."""
        event = recorded.event
        unconfirmed = isinstance(event, OrderCancelledV1) and event.was is not OrderStatus.CONFIRMED
        # nothing is shipped of what was never confirmed, and the catalogue need not say so
        self.process_manager.advance(event.order_id, orders, fulfilments, any_shipped=False if unconfirmed else None)

    def follow_product(
        self,
        recorded: Recorded[CatalogEvent | AnswerToOrdering],
        work: UnitOfWork,
        orders: Orders,
        fulfilments: Fulfilments,
    ) -> None:
        """Advance the fulfilment after an event of the catalogue on an order or product; raises as follow_product."""
        match recorded.event:
            case StockNotKeptV1() as event:
                self.process_manager.advance(event.order_id, orders, fulfilments, unkept=event.lines)
            case OrderSettledV1() as event:
                self.process_manager.advance(event.order_id, orders, fulfilments, any_shipped=event.shipped > 0)
            case event:
                follow_product(Recorded(recorded.envelope, event), work, orders)
