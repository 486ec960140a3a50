"""Follow the catalogue's events: copy names and prices, and record in each order's lines what stock they have."""

from collections.abc import Sequence
from typing import assert_never
from uuid import UUID

from shared.catalog.events import (
    BoughtTogetherV1,
    CatalogEvent,
    ItemShippedV1,
    OrderedStock,
    ProductAddedV1,
    ProductPriceChangedV1,
    ProductRatedV1,
    ProductRenamedV1,
    StockAwaitedV2,
    StockReceivedV1,
    StockRecountedV1,
    StockReleasedV1,
    StockReservedV1,
)
from shared.frame.messaging.envelope import Recorded
from shared.frame.messaging.event_types import EventTypes
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.domain.order import LineStock
from shared.ordering.reference_data import ReferenceData
from shared.ordering.repository import Orders

FOLLOWED = EventTypes.all_but(StockReceivedV1, StockRecountedV1, ProductRatedV1, BoughtTogetherV1)
"""The catalogue's events that orders show, or that advance a fulfilment."""


def follow_product(recorded: Recorded[CatalogEvent], work: UnitOfWork, orders: Orders) -> None:
    """Apply one event.

    Committing raises NotCopiedYet if the product's first event has not arrived.
    """
    event, version = recorded.event, recorded.envelope.version
    reference = ReferenceData(work)
    match event:
        case ProductAddedV1():
            reference.add_product(event.product_id, event.name, event.unit_price, event.currency, version)
        case ProductPriceChangedV1():
            reference.change_price(event.product_id, event.unit_price, version)
        case ProductRenamedV1():
            reference.rename_product(event.product_id, event.name, version)
        case StockReservedV1() | StockReleasedV1() | ItemShippedV1():
            _take_stock(orders, event.product_id, event.line, version)
        case StockAwaitedV2():
            _take_stock(orders, event.product_id, event.line, version, event.alternatives)
        case StockReceivedV1() | StockRecountedV1() | ProductRatedV1() | BoughtTogetherV1():
            pass  # not FOLLOWED
        case _:
            assert_never(event)


def _take_stock(
    orders: Orders, product_id: UUID, line: OrderedStock, version: int, alternatives: Sequence[UUID] | None = None
) -> None:
    order = orders.load(line.order_id)
    order.take_stock(product_id, LineStock(version, line.reserved, line.waiting, line.shipped), alternatives)
    if order.pending_events:
        orders.save(order)
