"""The published events of the catalogue. Ordering's rules for events hold here too; prices are in major units."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ProductAddedV1:
    """A product came into the catalogue."""

    product_id: UUID
    name: str
    description: str
    unit_price: Decimal
    currency: str
    category: str


@dataclass(frozen=True, slots=True)
class ProductPriceChangedV1:
    """A product costs something else from now on."""

    product_id: UUID
    unit_price: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class ProductRenamedV1:
    """A product is called something else from now on."""

    product_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class StockLevel:
    """What there is of a product, in pieces.

    Attributes:
        on_hand: what lies in the house.
        reserved: what of it orders have.
        waiting: what orders want beyond that.
    """

    on_hand: int
    reserved: int
    waiting: int

    @property
    def available(self) -> int:
        """What nobody has reserved."""
        return self.on_hand - self.reserved


@dataclass(frozen=True, slots=True)
class OrderedStock:
    """What one order has of a product, in pieces.

    Attributes:
        submitted_at: when the order was submitted: its place on the waiting list.
        reserved: what lies ready for it.
        waiting: what it waits for.
        shipped: what has left for it.
    """

    order_id: UUID
    submitted_at: datetime
    reserved: int
    waiting: int
    shipped: int


@dataclass(frozen=True, slots=True)
class StockReceivedV1:
    """Pieces came in; with the first ones, or none, stock began to be kept. `level` is what there is then.

    Attributes:
        reference: what the sender calls the delivery.
    """

    product_id: UUID
    quantity: int
    reference: str | None
    level: StockLevel


@dataclass(frozen=True, slots=True)
class StockRecountedV1:
    """Somebody counted what there is."""

    product_id: UUID
    counted: int
    reason: str
    level: StockLevel


@dataclass(frozen=True, slots=True)
class StockReservedV1:
    """Pieces lie ready for an order. `line` and `level` are what the order has, and what there is, after that."""

    product_id: UUID
    quantity: int
    line: OrderedStock
    level: StockLevel


@dataclass(frozen=True, slots=True)
class StockAwaitedV1:
    """The same as StockAwaitedV2, which it is read as; it is not written any more."""

    product_id: UUID
    quantity: int
    line: OrderedStock
    level: StockLevel


@dataclass(frozen=True, slots=True)
class StockAwaitedV2:
    """An order waits for pieces: there are none for it, or those that it had are not there.

    Attributes:
        alternatives: related products that were there at that time, the closest first; None where nobody looked, as
            for an event that was written as StockAwaitedV1.
    """

    product_id: UUID
    quantity: int
    line: OrderedStock
    level: StockLevel
    alternatives: tuple[UUID, ...] | None


@dataclass(frozen=True, slots=True)
class StockReleasedV1:
    """An order needs no more: what it had is for others, and it has left the waiting list."""

    product_id: UUID
    quantity: int
    line: OrderedStock
    level: StockLevel


@dataclass(frozen=True, slots=True)
class ItemShippedV1:
    """Pieces that an order had reserved left the house."""

    product_id: UUID
    quantity: int
    line: OrderedStock
    level: StockLevel


@dataclass(frozen=True, slots=True)
class ProductRatedV1:
    """A customer thinks so of a product from now on.

    Attributes:
        rating: 1 to 5.
        before: what the customer thought until then; None: nothing that we know of.
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
    """An order was submitted with products whose stock is not kept: for them nothing is reserved, nor awaited.

    Attributes:
        lines: how many of its lines that are. Of the others, events of their products' stock tell.
    """

    order_id: UUID
    lines: int


type OfferEvent = ProductAddedV1 | ProductPriceChangedV1 | ProductRenamedV1
type OrderedStockEvent = StockReservedV1 | StockAwaitedV2 | StockReleasedV1 | ItemShippedV1
type StockEvent = StockReceivedV1 | StockRecountedV1 | OrderedStockEvent
type ProductEvent = (
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


def awaited(event: StockAwaitedV1) -> StockAwaitedV2:
    """Read an event of before as one of today: nobody looked for alternatives then."""
    return StockAwaitedV2(event.product_id, event.quantity, event.line, event.level, alternatives=None)


UPCASTS = {StockAwaitedV1: awaited}
"""What events that are not written any more are read as."""
