"""What orders are made of in tests: somebody who orders, somewhere to ship to, products at a price."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata, Recorded
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.money import Money
from shared.ordering.domain.offer import Customer, Product, RequestedItem
from shared.ordering.domain.order import Order
from shared.ordering.events import Address, OrderEvent, OrderStatus
from shared.ordering.repository import Orders
from shared.ordering.tables import LOG

ADDRESS = Address("Hauptstraße 1", "Köln", "50667", region=None, country="DE")


def a_customer(name: str = "Ada") -> Customer:
    """Somebody who orders."""
    return Customer(uuid4(), name, version=1)


def a_product(price: str = "12.50", currency: str = "EUR", name: str = "Tea") -> Product:
    """Something on offer."""
    return Product(uuid4(), name, Money(Decimal(price), currency), version=1)


def pieces(product: Product, quantity: int = 1, expected: str | None = None, pointer: str = "") -> RequestedItem:
    """Some pieces of a product, wanted."""
    return RequestedItem(product, quantity, None if expected is None else Decimal(expected), pointer)


def an_order(*items: RequestedItem, customer: Customer | None = None) -> Order:
    """A new order of these items."""
    return Order.create(uuid4(), customer or a_customer(), items, ADDRESS)


def an_order_that_is(status: OrderStatus) -> Order:
    """An order of one item that has come this far."""
    order = an_order(pieces(a_product()))
    steps: dict[OrderStatus, list[Callable[[], None]]] = {
        OrderStatus.CREATED: [],
        OrderStatus.SUBMITTED: [order.submit],
        OrderStatus.CONFIRMED: [order.submit, order.confirm],
        OrderStatus.COMPLETED: [order.submit, order.confirm, order.complete],
        OrderStatus.CANCELLED: [lambda: order.cancel("changed my mind")],
    }
    for step in steps[status]:
        step()
    return order


def saved(engine: sa.Engine, order: Order, at: datetime | None = None) -> Order:
    """Write what became of an order, and its events, as if a command had done it."""
    with UnitOfWork(engine) as work:
        Orders(work, Metadata(at=at or datetime.now(UTC))).save(order)
        work.commit()
    order.pending_events.clear()
    return order


def history(engine: sa.Engine, order: Order) -> Sequence[Recorded[OrderEvent]]:
    """An order's events, as the log has them."""
    with engine.connect() as connection:
        return LOG.history(connection, order.order_id)
