"""What ordering knows of the other contexts: its own copy of products, prices and customers, kept from their events."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from shared.kernel.money import Money


@dataclass(frozen=True, slots=True)
class Customer:
    """Who orders. `version` counts the customer's events, so that a later name can be told from an earlier one."""

    customer_id: UUID
    name: str
    version: int


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
