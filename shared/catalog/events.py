"""The published events of the catalogue. Ordering's rules for events hold here too; prices are in major units."""

from dataclasses import dataclass
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


type ProductEvent = ProductAddedV1 | ProductPriceChangedV1 | ProductRenamedV1
