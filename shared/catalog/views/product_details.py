"""A product as shoppers see it: one document, written by the product's events, read by id."""

from collections.abc import Mapping
from typing import Any, assert_never
from uuid import UUID

from shared.catalog.domain.errors import ProductNotFound
from shared.catalog.events import ProductAddedV1, ProductEvent, ProductPriceChangedV1, ProductRenamedV1
from shared.kernel.money import Money
from shared.messaging.change import Change, Create, Patch
from shared.messaging.envelope import Recorded
from shared.platform.examples import PRODUCT_ID, example
from shared.platform.generations import Served
from shared.platform.input import Id, QueryInput, Version
from shared.platform.output import Amount, Answer, amount
from shared.platform.reading import read_at_least


class ProductDetails(Answer):
    """A product, its price and what shoppers think of it (null until somebody has rated it)."""

    product_id: UUID
    name: str
    description: str
    unit_price: Amount
    currency: str
    category: str
    is_out_of_stock: bool
    user_rating: float | None
    rating_count: int
    version: int


class ReadProduct(QueryInput, json_schema_extra=example(productId=PRODUCT_ID)):
    """A product in full."""

    product_id: Id
    min_version: Version | None = None


def view_of(product_id: UUID) -> str:
    """The partition that holds the product's document, and nothing else."""
    return f"product:{product_id}"


def change(recorded: Recorded[ProductEvent]) -> Change:
    """What an event does to the product's document."""
    event = recorded.event
    gate: Create | Patch
    match event:
        case ProductAddedV1():
            gate = Create(_added(event))
        case ProductPriceChangedV1():
            minor = Money(event.unit_price, event.currency).minor
            gate = Patch(str(event.product_id), [{"op": "set", "path": "/unitPrice", "value": minor}])
        case ProductRenamedV1():
            gate = Patch(str(event.product_id), [{"op": "set", "path": "/name", "value": event.name}])
        case _:
            assert_never(event)
    return Change(view_of(event.product_id), gate)


async def read_product(served: Served, query: ReadProduct, wait: int) -> tuple[ProductDetails, str]:
    """Read a product and its etag.

    Raises:
        ProductNotFound: there is no such product, or none that has been projected yet.
        Problem: it is not at `min_version` within `wait` seconds.
    """
    product_id = query.product_id
    document = await read_at_least(served.container, str(product_id), view_of(product_id), query.min_version, wait)
    if document is None:
        raise ProductNotFound(f"There is no product {product_id}.")
    return _rendered(document), _etag(document, served.generation)


def _etag(document: Mapping[str, Any], generation: int) -> str:
    """Tell apart what readers can see: the version, and how often it was healed since, in this generation."""
    version, healed = document["version"], document.get("healed", 0)
    return f'"{version}.{healed}.{generation}"' if healed or generation > 1 else f'"{version}"'


def _rendered(document: Mapping[str, Any]) -> ProductDetails:
    return ProductDetails(
        product_id=document["id"],
        name=document["name"],
        description=document["description"],
        unit_price=amount(document["unitPrice"], document["currency"]),
        currency=document["currency"],
        category=document["category"],
        is_out_of_stock=document["isOutOfStock"],
        user_rating=document["userRating"],
        rating_count=document["ratingCount"],
        version=document["version"],
    )


def _added(event: ProductAddedV1) -> dict[str, Any]:
    return {
        "id": str(event.product_id),
        "view": view_of(event.product_id),
        "version": 1,
        "name": event.name,
        "description": event.description,
        "unitPrice": Money(event.unit_price, event.currency).minor,
        "currency": event.currency,
        "category": event.category,
        "isOutOfStock": False,
        "userRating": None,
        "ratingCount": 0,
    }
