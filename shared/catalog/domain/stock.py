"""The stock of a product: the pieces on hand, the orders that have reserved some, and the orders that wait.

It is an aggregate of its own, so that renaming a product does not race with ordering it. Orders wait in the order of
their submission. Received and released pieces go to waiting orders in the same change.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Self, override
from uuid import UUID, uuid5

from shared.catalog.domain.errors import NotReserved, StockTooLarge, TooManyWaitAgain
from shared.catalog.events import (
    ItemShippedV1,
    OrderedStock,
    StockAwaitedV2,
    StockEvent,
    StockLevel,
    StockReceivedV1,
    StockRecountedV1,
    StockReleasedV1,
    StockReservedV1,
)
from shared.kernel.aggregate import Aggregate

MAX_ON_HAND = 1_000_000
"""The largest number of pieces of one product."""

SERVED_AT_ONCE = 1_000
"""Orders that one change serves from the waiting list. A timer serves on (jobs/serve_waiting_orders.py)."""


def stock_of(product_id: UUID) -> UUID:
    """Give the id of a product's stock."""
    return uuid5(product_id, "stock")


class Stock(Aggregate[StockEvent]):
    """The stock of one product.

    It is never closed for changes: each order adds some, and a product that sells well is still received and counted.
    Its document keeps no times of versions, so it does not grow with them.

    Attributes:
        product_id: the product.
        level: the numbers of pieces.
        lines: the reserved and awaited pieces by order; only of the orders that the command needs.
    """

    product_id: UUID

    def __init__(self) -> None:
        super().__init__()
        self.level = StockLevel(0, 0, 0)
        self.lines: dict[UUID, OrderedStock] = {}

    @property
    def stock_id(self) -> UUID:
        """The stock's id, which is also that of its stream."""
        return stock_of(self.product_id)

    @classmethod
    def of(cls, product_id: UUID) -> Self:
        """Make the stock of a product whose stock was not kept; it begins with the first receipt."""
        stock = cls()
        stock.product_id = product_id
        return stock

    def receive(self, quantity: int, reference: str | None = None) -> None:
        """Receive pieces; waiting orders get them first."""
        on_hand = self.level.on_hand
        if on_hand + quantity > MAX_ON_HAND:
            raise StockTooLarge(
                f"Product {self.product_id} has {on_hand:,} pieces on hand; with {quantity:,} more there would be over "
                f"{MAX_ON_HAND:,}."
            )
        self._record_past_limit(StockReceivedV1(self.product_id, quantity, reference, self._level(on_hand=quantity)))
        self.serve()

    def recount(self, counted: int, reason: str, alternatives: Sequence[UUID] | None = None) -> None:
        """Set the counted number of pieces; if fewer than reserved, the youngest reservations wait again."""
        missing = self.level.reserved - counted
        if missing > sum(line.reserved for line in self.lines.values()):
            raise TooManyWaitAgain(
                f"Product {self.product_id} has {self.level.reserved:,} pieces reserved, and {counted:,} were counted: "
                f"more than {SERVED_AT_ONCE:,} orders would have to wait again. Count down in steps."
            )
        self._take_back(missing, alternatives)
        level = self._level(on_hand=counted - self.level.on_hand)
        self._record_past_limit(StockRecountedV1(self.product_id, counted, reason, level))
        self.serve()

    def has_for_a_new_order(self, quantity: int) -> bool:
        """Tell whether so many pieces are available, and no order waits."""
        return self._for_a_new_order(quantity) == quantity

    def reserve(
        self, order_id: UUID, quantity: int, submitted_at: datetime, alternatives: Sequence[UUID] | None = None
    ) -> None:
        """Reserve the available pieces for an order, and let it wait for the rest; no earlier order is overtaken.

        Args:
            order_id: the order.
            quantity: how many pieces it wants.
            submitted_at: when it was submitted: its place on the waiting list.
            alternatives: available products to suggest if the order waits; None if there was no search for them.
        """
        self.lines[order_id] = OrderedStock(order_id, submitted_at, 0, 0, 0)
        given = self._for_a_new_order(quantity)
        self._await(order_id, quantity - given, alternatives)
        self._give(order_id, given)

    def ship(self, order_id: UUID, quantity: int) -> None:
        """Ship pieces that an order has reserved."""
        line = self.lines.get(order_id)
        reserved = 0 if line is None else line.reserved
        if line is None or reserved < quantity:
            raise NotReserved(
                f"Order {order_id} has {reserved:,} pieces of product {self.product_id} reserved; {quantity:,} cannot "
                "be shipped."
            )
        self._ship(line, quantity)

    def settle(self, order_id: UUID) -> None:
        """Ship all reserved pieces of an order that was closed as fulfilled, and end its waiting."""
        line = self.lines.get(order_id)
        if line is not None and line.reserved:
            self._ship(line, line.reserved)
        self.release(order_id)

    def release(self, order_id: UUID) -> None:
        """Release an order's reserved pieces and end its waiting; waiting orders get the pieces."""
        line = self.lines.get(order_id)
        if line is None or not line.reserved + line.waiting:
            return
        self._record_past_limit(
            StockReleasedV1(
                self.product_id,
                line.reserved + line.waiting,
                OrderedStock(order_id, line.submitted_at, 0, 0, line.shipped),
                self._level(reserved=-line.reserved, waiting=-line.waiting),
            )
        )
        self.serve()

    def serve(self) -> None:
        """Reserve available pieces for waiting orders, the earliest first."""
        for order_id, line in list(self._in_order()):
            if line.waiting:
                self._give(order_id, min(line.waiting, self.level.available), waited=True)

    def _ship(self, line: OrderedStock, quantity: int) -> None:
        self._record_past_limit(
            ItemShippedV1(
                self.product_id,
                quantity,
                _with(line, reserved=-quantity, shipped=quantity),
                self._level(on_hand=-quantity, reserved=-quantity),
            )
        )

    def _for_a_new_order(self, quantity: int) -> int:
        return 0 if self.level.waiting else min(quantity, self.level.available)

    def _take_back(self, quantity: int, alternatives: Sequence[UUID] | None) -> None:
        """Let the youngest reservations wait again, until so many pieces are no longer reserved."""
        for order_id, line in reversed(list(self._in_order())):
            self._await(order_id, min(line.reserved, quantity), alternatives, had=True)
            quantity -= min(line.reserved, max(quantity, 0))

    def _in_order(self) -> Iterator[tuple[UUID, OrderedStock]]:
        yield from sorted(self.lines.items(), key=lambda entry: (entry[1].submitted_at, entry[0]))

    def _give(self, order_id: UUID, quantity: int, *, waited: bool = False) -> None:
        if quantity <= 0:
            return
        waits_less = quantity if waited else 0
        self._record_past_limit(
            StockReservedV1(
                self.product_id,
                quantity,
                _with(self.lines[order_id], reserved=quantity, waiting=-waits_less),
                self._level(reserved=quantity, waiting=-waits_less),
            )
        )

    def _await(self, order_id: UUID, quantity: int, alternatives: Sequence[UUID] | None, *, had: bool = False) -> None:
        if quantity <= 0:
            return
        has_less = quantity if had else 0
        self._record_past_limit(
            StockAwaitedV2(
                self.product_id,
                quantity,
                _with(self.lines[order_id], reserved=-has_less, waiting=quantity),
                self._level(reserved=-has_less, waiting=quantity),
                None if alternatives is None else tuple(alternatives),
            )
        )

    def _level(self, on_hand: int = 0, reserved: int = 0, waiting: int = 0) -> StockLevel:
        """Give the level with so many pieces more of each."""
        level = self.level
        return StockLevel(level.on_hand + on_hand, level.reserved + reserved, level.waiting + waiting)

    @override
    def _apply(self, event: StockEvent) -> None:
        self.product_id, self.level = event.product_id, event.level
        if not isinstance(event, StockReceivedV1 | StockRecountedV1):
            self.lines[event.line.order_id] = event.line


def _with(line: OrderedStock, reserved: int = 0, waiting: int = 0, shipped: int = 0) -> OrderedStock:
    """Give a line with so many pieces more of each."""
    return OrderedStock(
        line.order_id, line.submitted_at, line.reserved + reserved, line.waiting + waiting, line.shipped + shipped
    )
