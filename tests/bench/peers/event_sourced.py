"""The order as the `eventsourcing` library's documentation would write it: an aggregate, and an application for it.

It has Tandem's rules as far as these commands touch them: prices in one currency, an order that is open until it is
submitted, a total. Unlike Tandem it is given products and prices by its caller and keeps no tables beside its events.
"""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Item(NamedTuple):
    """Some pieces of a product, at a price."""

    product_id: UUID
    product_name: str
    quantity: int
    unit_price: str
    currency: str


class Order(Aggregate):
    """An order."""

    @event("Created")
    def __init__(
        self, customer_id: UUID, customer_name: str, address: dict[str, str], items: Sequence[Sequence[object]]
    ) -> None:
        self.customer_id = customer_id
        self.customer_name = customer_name
        self.address = address
        self.status = "Created"
        self.lines: dict[UUID, Item] = {}
        self.total = Decimal(0)
        self._take(items)

    @event("ItemAdded")
    def add_item(self, item: Sequence[object]) -> None:
        """Add pieces of a product."""
        self._require("Created")
        self._take([item])

    @event("Submitted")
    def submit(self) -> None:
        """Place the order."""
        self._require("Created")
        if not self.lines:
            raise ValueError("the order is empty")
        self.status = "Submitted"

    @event("Confirmed")
    def confirm(self) -> None:
        """Accept it."""
        self._require("Submitted")
        self.status = "Confirmed"

    @event("Completed")
    def complete(self) -> None:
        """Close it."""
        self._require("Confirmed")
        self.status = "Completed"

    def _require(self, status: str) -> None:
        if self.status != status:
            raise ValueError(f"the order is {self.status}")

    def _take(self, items: Sequence[Sequence[object]]) -> None:
        for item in map(Item._make, items):
            known = self.lines.get(item.product_id)
            if known is not None and known.currency != item.currency:
                raise ValueError("an order has one currency")
            quantity = item.quantity + (known.quantity if known else 0)
            self.lines[item.product_id] = item._replace(quantity=quantity)
        self.total = sum((line.quantity * Decimal(line.unit_price) for line in self.lines.values()), Decimal(0))


class Orders(Application[UUID]):
    """The application."""

    def create_order(
        self, customer_id: UUID, customer_name: str, address: dict[str, str], items: Sequence[Item]
    ) -> UUID:
        """Open an order."""
        order = Order(customer_id, customer_name, address, items)
        self.save(order)
        return order.id

    def add_item(self, order_id: UUID, item: Item) -> None:
        """Add an item."""
        order = self.order(order_id)
        order.add_item(item)
        self.save(order)

    def submit_order(self, order_id: UUID) -> None:
        """Place it."""
        order = self.order(order_id)
        order.submit()
        self.save(order)

    def confirm_order(self, order_id: UUID) -> None:
        """Accept it."""
        order = self.order(order_id)
        order.confirm()
        self.save(order)

    def complete_order(self, order_id: UUID) -> None:
        """Close it."""
        order = self.order(order_id)
        order.complete()
        self.save(order)

    def order(self, order_id: UUID) -> Order:
        """Rebuild an order from its events."""
        order: Order = self.repository.get(order_id)
        return order


def application(folder: Path) -> Orders:
    """Make the application on a SQLite file."""
    return Orders(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(folder / "eventsourcing.db")})
