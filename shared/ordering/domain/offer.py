"""What ordering knows of the other contexts: its own copy of products, prices and customers, kept from their events."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from shared.kernel.money import Money
from shared.ordering.events import Address


@dataclass(frozen=True, slots=True)
class Customer:
    """Who orders.

    Attributes:
        version: counts the customer's events, so that a later name can be told from an earlier one.
        address: the one that was asked for, or else the default one; None: the customer keeps no such address.
    """

    customer_id: UUID
    name: str
    version: int
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """What is on offer, at which price. `version` counts the product's events."""

    product_id: UUID
    name: str
    price: Money
    version: int


@dataclass(frozen=True, slots=True)
class RequestedItem:
    """A product that somebody wants.

    Attributes:
        expected_price: what the caller believes one piece costs; None accepts today's price.
        pointer: where the request names it, for error messages.
    """

    product: Product
    quantity: int
    expected_price: Decimal | None = None
    pointer: str = ""
