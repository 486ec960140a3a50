"""The published events of the catalogue. Ordering's rules for events hold here too; prices are in major units."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import get_args
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ProductAddedV1:
    """A product was added to the catalogue."""

    product_id: UUID
    name: str
    description: str
    unit_price: Decimal
    currency: str
    category: str


@dataclass(frozen=True, slots=True)
class ProductPriceChangedV1:
    """A product's price was changed."""

    product_id: UUID
    unit_price: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class ProductRenamedV1:
    """A product's name was changed."""

    product_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class StockLevel:
    """The stock of a product, in pieces.

    Attributes:
        on_hand: pieces in the warehouse.
        reserved: the part of these that is reserved for orders.
        waiting: further pieces for which orders wait.
    """

    on_hand: int
    reserved: int
    waiting: int

    @property
    def available(self) -> int:
        """Pieces that are not reserved."""
        return self.on_hand - self.reserved


@dataclass(frozen=True, slots=True)
class OrderedStock:
    """The pieces of a product for one order.

    Attributes:
        submitted_at: when the order was submitted: its place on the waiting list.
        reserved: pieces that are reserved for it.
        waiting: pieces for which it waits.
        shipped: pieces that were shipped for it.
    """

    order_id: UUID
    submitted_at: datetime
    reserved: int
    waiting: int
    shipped: int


@dataclass(frozen=True, slots=True)
class StockReceivedV1:
    """Pieces were received; the first receipt, even of none, begins the keeping of stock. `level` is the new stock.

    Attributes:
        reference: the sender's name for the delivery.
    """

    product_id: UUID
    quantity: int
    reference: str | None
    level: StockLevel


@dataclass(frozen=True, slots=True)
class StockRecountedV1:
    """The stock was counted and corrected."""

    product_id: UUID
    counted: int
    reason: str
    level: StockLevel


@dataclass(frozen=True, slots=True)
class StockReservedV1:
    """Pieces were reserved for an order. `line` and `level` are the order's pieces and the stock after that."""

    product_id: UUID
    quantity: int
    line: OrderedStock
    level: StockLevel


@dataclass(frozen=True, slots=True)
class StockAwaitedV1:
    """The earlier version of StockAwaitedV2, as which it is read; it is no longer written."""

    product_id: UUID
    quantity: int
    line: OrderedStock
    level: StockLevel


@dataclass(frozen=True, slots=True)
class StockAwaitedV2:
    """An order waits for pieces: none were available, or a recount found its reserved pieces missing.

    Attributes:
        alternatives: related products that were available at that time, the closest first; None if there was no search
            for them, as in an event that was written as StockAwaitedV1.
    """

    product_id: UUID
    quantity: int
    line: OrderedStock
    level: StockLevel
    alternatives: tuple[UUID, ...] | None


@dataclass(frozen=True, slots=True)
class StockReleasedV1:
    """An order's reserved pieces were released, and it has left the waiting list."""

    product_id: UUID
    quantity: int
    line: OrderedStock
    level: StockLevel


@dataclass(frozen=True, slots=True)
class ItemShippedV1:
    """Pieces that were reserved for an order were shipped."""

    product_id: UUID
    quantity: int
    line: OrderedStock
    level: StockLevel


@dataclass(frozen=True, slots=True)
class ProductRatedV1:
    """A customer rated a product.

    Attributes:
        rating: 1 to 5.
        before: the customer's rating until then; None if none is known.
    """

    product_id: UUID
    customer_id: UUID
    rating: int
    before: int | None


@dataclass(frozen=True, slots=True)
class BoughtTogetherV1:
    """An order with several products was submitted, and this product is one of them.

    Attributes:
        others: the other products of the order, nine at most.
    """

    product_id: UUID
    order_id: UUID
    others: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class StockNotKeptV1:
    """An order was submitted with products whose stock is not kept: no pieces of them are reserved or awaited.

    Attributes:
        lines: the number of these lines. The other lines have events of their products' stock.
    """

    order_id: UUID
    lines: int


@dataclass(frozen=True, slots=True)
class OrderSettledV1:
    """A submitted order was cancelled, and no piece of it is shipped any more.

    Attributes:
        shipped: pieces that were shipped by then.
    """

    order_id: UUID
    shipped: int


type ProductEvent = ProductAddedV1 | ProductPriceChangedV1 | ProductRenamedV1
type OrderedStockEvent = StockReservedV1 | StockAwaitedV2 | StockReleasedV1 | ItemShippedV1
type StockEvent = StockReceivedV1 | StockRecountedV1 | OrderedStockEvent
type CatalogEvent = (
    ProductAddedV1
    | ProductPriceChangedV1
    | ProductRenamedV1
    | StockReceivedV1
    | StockRecountedV1
    | StockReservedV1
    | StockAwaitedV2
    | StockReleasedV1
    | ItemShippedV1
    | ProductRatedV1
    | BoughtTogetherV1
)
"""Every event that the catalogue's read models show."""

type AnswerToOrdering = StockNotKeptV1 | OrderSettledV1
"""What the catalogue tells ordering of an order; each has a stream of its own."""


def awaited(event: StockAwaitedV1) -> StockAwaitedV2:
    """Upcast an event; there was no search for alternatives then."""
    return StockAwaitedV2(event.product_id, event.quantity, event.line, event.level, alternatives=None)


UPCASTS = {StockAwaitedV1: awaited}
"""The upcasts of events that are no longer written."""

ANSWERS = get_args(AnswerToOrdering.__value__)
"""Events for ordering, which no read model shows."""

ON_TOPIC = (*get_args(CatalogEvent.__value__), *ANSWERS)
"""Every class of this context's topic; each subscriber receives all of them."""
