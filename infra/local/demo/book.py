"""The book: the expected state of the shop, in exact decimals and without a look at the read models."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

DIGITS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}
"""The currencies of the shop and their digits after the point (ISO 4217)."""

WAITS_FOR = {
    "Created": "its submission",
    "Submitted": "the confirmation",
    "Confirmed": "the shipment",
    "Completed": "nothing",
    "Cancelled": "nothing",
}
"""What an order on account waits for, none of whose items is kept in stock."""

ALLOWED = {
    "Created": ("addItem", "removeItem", "changeShippingAddress", "submit", "cancel"),
    "Submitted": ("confirm", "cancel"),
    "Confirmed": ("complete", "cancel"),
    "Completed": (),
    "Cancelled": (),
}
"""What may be done with it; two of them only where it has items."""

ERASED = "erased"
"""Stands where something of a person stood."""

COUNTED = ("Submitted", "Confirmed", "Completed")
"""The statuses that a summary counts."""


def written(amount: Decimal, currency: str | None) -> str:
    """Write an amount as the API does; an order that never had an item has no currency yet."""
    return "0" if currency is None else f"{amount:.{DIGITS[currency]}f}"


@dataclass(slots=True)
class Customer:
    """A customer as known now; `changing` is held while a command that changes the name is under way."""

    customer_id: str
    name: str
    version: int = 1
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Product:
    """A product as known now.

    Attributes:
        prices: all prices of a piece so far; the last one is the present price.
        is_stable: the price stays the same all day, so orders need not name the price that they expect.
    """

    product_id: str
    name: str
    description: str
    category: str
    currency: str
    prices: list[Decimal]
    is_stable: bool
    version: int = 1
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Line:
    """Pieces of a product at one price."""

    quantity: int
    unit_price: Decimal


@dataclass(slots=True)
class Order:
    """An order as the accepted commands have made it; `lines` by product id, in the order in which they were added."""

    order_id: str
    customer_id: str
    address: dict[str, str | None]
    version: int = 1
    status: str = "Created"
    currency: str | None = None
    lines: dict[str, Line] = field(default_factory=dict)
    reached: set[str] = field(default_factory=lambda: {"Created"})
    cancel_reason: str | None = None

    @property
    def total(self) -> Decimal:
        """The sum of all lines."""
        return sum((line.quantity * line.unit_price for line in self.lines.values()), Decimal(0))

    def add(self, product: Product, quantity: int, unit_price: Decimal) -> None:
        """Add pieces; a product has one line, all of it at the latest price."""
        held = self.lines.get(product.product_id)
        if held:
            held.quantity, held.unit_price = held.quantity + quantity, unit_price
        else:
            self.lines[product.product_id] = Line(quantity, unit_price)
        self.currency = product.currency

    def become(self, status: str) -> None:
        """Move on to a status."""
        self.status = status
        self.reached.add(status)


@dataclass(slots=True)
class Book:
    """All customers, products and orders of the day, by id."""

    customers: dict[str, Customer] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)

    def erase(self, customer: Customer) -> None:
        """Know nothing of a customer any more but what they ordered; all of it is over."""
        customer.name, customer.version = ERASED, customer.version + 2  # asked for, and done
        for order in self.orders_of(customer.customer_id):
            order.version += 1
            order.address = dict.fromkeys(order.address) | dict.fromkeys(("street", "city", "postalCode"), ERASED)
            order.cancel_reason = order.cancel_reason and ERASED

    def orders_of(self, customer_id: str) -> Iterator[Order]:
        """The orders of one customer."""
        return (order for order in self.orders.values() if order.customer_id == customer_id)

    def details(self, order: Order) -> dict[str, Any]:
        """The expected answer of GET /orders/{id}; for a time, whether there is one."""
        return {
            "orderId": order.order_id,
            "customerId": order.customer_id,
            "customerName": self.customers[order.customer_id].name,
            "status": order.status,
            "version": order.version,
            "currency": order.currency,
            "total": written(order.total, order.currency),
            "items": [
                {
                    "productId": product_id,
                    "productName": self.products[product_id].name,
                    "quantity": line.quantity,
                    "unitPrice": written(line.unit_price, order.currency),
                    "amount": written(line.quantity * line.unit_price, order.currency),
                    "stock": "none",
                    "shipped": 0,
                    "alternatives": [],
                }
                for product_id, line in order.lines.items()
            ],
            "shippingAddress": order.address,
            "createdAt": True,
            "submittedAt": "Submitted" in order.reached,
            "confirmedAt": "Confirmed" in order.reached,
            "completedAt": "Completed" in order.reached,
            "cancelledAt": "Cancelled" in order.reached,
            "cancelReason": order.cancel_reason,
            "payment": None,
            "waitsFor": WAITS_FOR[order.status],
            "allowedActions": [
                action for action in ALLOWED[order.status] if order.lines or action not in {"removeItem", "submit"}
            ],
        }

    def summary(self, customer: Customer) -> dict[str, Any]:
        """The expected answer of GET /customers/{id}/summary, without the parts that depend on times."""
        spent: dict[str, Decimal] = defaultdict(Decimal)
        count = 0
        for order in self.orders_of(customer.customer_id):
            if order.status in COUNTED and order.currency:
                count += 1
                spent[order.currency] += order.total
        return {
            "customerId": customer.customer_id,
            "customerName": customer.name,
            "totalOrders": count,
            "totalSpent": [
                {"currency": currency, "amount": written(amount, currency)}
                for currency, amount in sorted(spent.items())
                if amount
            ],
        }

    def product(self, product: Product) -> dict[str, Any]:
        """The expected answer of GET /products/{id}."""
        return {
            "productId": product.product_id,
            "name": product.name,
            "description": product.description,
            "unitPrice": written(product.prices[-1], product.currency),
            "currency": product.currency,
            "category": product.category,
            "isOutOfStock": False,
            "available": None,
            "userRating": None,
            "ratingCount": 0,
            "version": product.version,
        }

    def statuses(self) -> Counter[str]:
        """The number of orders in each status."""
        return Counter(order.status for order in self.orders.values())
