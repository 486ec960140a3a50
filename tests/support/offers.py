"""What orders are made of in tests: somebody who orders, somewhere to ship to, products at a price."""

from decimal import Decimal
from uuid import UUID, uuid4

from shared.kernel.money import Money
from shared.ordering.domain.offer import Customer, Product, RequestedItem
from shared.ordering.domain.order import Order
from shared.ordering.events import Address, OrderStatus

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


def an_order(*items: RequestedItem, order_id: UUID | None = None) -> Order:
    """A new order of these items."""
    return Order.create(order_id or uuid4(), a_customer(), items, ADDRESS)


def an_order_that_is(status: OrderStatus) -> Order:
    """An order of one item that has come this far."""
    order = an_order(pieces(a_product()))
    steps = {
        OrderStatus.CREATED: [],
        OrderStatus.SUBMITTED: [order.submit],
        OrderStatus.CONFIRMED: [order.submit, order.confirm],
        OrderStatus.COMPLETED: [order.submit, order.confirm, order.complete],
        OrderStatus.CANCELLED: [lambda: order.cancel("changed my mind")],
    }
    for step in steps[status]:
        step()
    return order
