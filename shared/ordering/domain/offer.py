"""Ordering's own copy of the other contexts' data: products, prices and customers, updated from their events."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from shared.kernel.money import Money
from shared.ordering.events import Address


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer who orders.

    Attributes:
        version: counts the customer's events, and tells a later name from an earlier one.
        address: the requested address, or else the default one; None if the customer has no such address.
    """

    customer_id: UUID
    name: str
    version: int
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """A product and its price. `version` counts the product's events."""

    product_id: UUID
    name: str
    price: Money
    version: int


@dataclass(frozen=True, slots=True)
class RequestedItem:
    """A product that the caller wants to order.

    Attributes:
        expected_price: the price of one piece that the caller expects; None accepts today's price.
        pointer: its place in the request, for error messages.
    """

    product: Product
    quantity: int
    expected_price: Decimal | None = None
    pointer: str = ""
