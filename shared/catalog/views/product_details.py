"""A product as shoppers see it: a document made of the product's events, and another one of its stock's events."""

import asyncio
from collections.abc import Mapping
from typing import Any, assert_never
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator

from shared.catalog.domain.errors import ProductNotFound
from shared.catalog.domain.rating import rating_id
from shared.catalog.events import (
    ItemShippedV1,
    ProductAddedV1,
    ProductEvent,
    ProductPriceChangedV1,
    ProductRenamedV1,
    StockAwaitedV2,
    StockEvent,
    StockReceivedV1,
    StockRecountedV1,
    StockReleasedV1,
    StockReservedV1,
)
from shared.catalog.views import stock_level
from shared.catalog.views.stock_level import available, stock_document_of
from shared.frame.messaging.envelope import Recorded
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, MaybeOwnerId, QueryInput, Version
from shared.frame.platform.output import Amount, Answer, amount
from shared.frame.platform.times import utc_text
from shared.frame.read_side.document_update import Create, DocumentUpdate, Patch, with_projected
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import Wait, point_read, read_at_least
from shared.frame.read_side.shape import Shapes
from shared.kernel.money import Money
from shared.story import PRODUCT_ID


class ProductDetails(Answer):
    """A product, its price, its stock, and its rating.

    `available` is null if no stock is kept; such a product is never out of stock. `userRating` is null until somebody
    has rated the product.
    """

    product_id: UUID
    name: str
    description: str
    unit_price: Amount
    currency: str
    category: str
    is_out_of_stock: bool
    available: int | None
    user_rating: float | None = Field(description="the average of all ratings, to two digits")
    rating_count: int
    version: int


class ReadProduct(QueryInput, json_schema_extra=example(productId=PRODUCT_ID)):
    """A product in full."""

    product_id: Id
    min_version: Version | None = Field(
        default=None, description="of the product, not of its stock, for which the inventory waits"
    )
    customer_id: MaybeOwnerId = Field(default=None, description="whose rating it has to show, at `minRatingVersion`")
    min_rating_version: Version | None = Field(
        default=None, description="of that rating: after rating the product; needs customerId"
    )

    @field_validator("min_rating_version")
    @classmethod
    def _is_somebodys(cls, version: int | None, info: ValidationInfo) -> int | None:
        if version is not None and "customer_id" in info.data and info.data["customer_id"] is None:
            raise ValueError("is of a customer's rating: give customerId too")
        return version


def _with_ratings(document: Mapping[str, Any]) -> dict[str, Any]:
    """Add counters of changes and ratings. Without a rebuild the time of adding is unknown, and oldest in lists."""
    kept = {name: value for name, value in document.items() if name not in {"userRating", "healed", "isOutOfStock"}}
    changes = document["version"] + document.get("healed", 0)
    return {**kept, "addedAt": "", "changes": changes, "ratingSum": 0, "ratingCount": 0}


SHAPES = Shapes(
    what="A product's document",
    today=3,
    mend="Make the view anew: python3 dev.py rebuild products",
    upcasts={1: with_projected, 2: _with_ratings},
)


def partition_key_of(product_id: UUID) -> str:
    """The partition of the product's documents."""
    return f"product:{product_id}"


def product_of(partition_key: str) -> str:
    """Name the product of a partition."""
    return partition_key.removeprefix("product:")


def project(recorded: Recorded[ProductEvent | StockEvent]) -> DocumentUpdate:
    """Make an event's update of the product's document, or of the stock's."""
    event = recorded.event
    gate: Create | Patch
    match event:
        case ProductAddedV1():
            gate = Create(_added(event, utc_text(recorded.envelope.occurred_at)))
        case ProductPriceChangedV1():
            minor = Money(event.unit_price, event.currency).minor
            gate = patch(event.product_id, {"op": "set", "path": "/unitPrice", "value": minor})
        case ProductRenamedV1():
            gate = patch(event.product_id, {"op": "set", "path": "/name", "value": event.name})
        case (
            StockReceivedV1()
            | StockRecountedV1()
            | StockReservedV1()
            | StockAwaitedV2()
            | StockReleasedV1()
            | ItemShippedV1()
        ):
            gate = stock_level.gate(event, recorded.envelope.version, partition_key_of(event.product_id))
        case _:
            assert_never(event)
    return DocumentUpdate(partition_key_of(event.product_id), gate)


def patch(product_id: UUID, *operations: Mapping[str, Any]) -> Patch:
    """Make a patch of the product's document that also counts the change."""
    return Patch(str(product_id), [*operations, {"op": "incr", "path": "/changes", "value": 1}], SHAPES)


async def read_product(served: Served, query: ReadProduct, wait: Wait) -> tuple[ProductDetails, int]:
    """Read a product and its version.

    Raises:
        ProductNotFound: there is no such product, or none that has been projected yet.
        UnreadableShape: another release wrote it.
        Unavailable: it did not reach `min_version`, or did not show the rating, in time.
    """
    product_id, view = query.product_id, partition_key_of(query.product_id)
    if query.customer_id is not None:
        rating = str(rating_id(product_id, query.customer_id))
        await read_at_least(served.container, rating, view, query.min_rating_version, wait)
    if query.min_version is not None:
        await read_at_least(served.container, str(product_id), view, query.min_version, wait)
    document, stock = await asyncio.gather(
        point_read(served.container, str(product_id), view),
        point_read(served.container, stock_document_of(product_id), view),
    )
    if document is None:
        raise ProductNotFound(f"There is no product {product_id}.")
    document = SHAPES.read(document)
    kept = stock_level.SHAPES.read(stock) if stock else None
    return _rendered(document, kept), document["version"]


def rating_of(document: Mapping[str, Any]) -> float | None:
    """Give the average of a product's ratings to two digits; None if nobody has rated it."""
    return round(document["ratingSum"] / document["ratingCount"], 2) if document["ratingCount"] else None


def _rendered(document: Mapping[str, Any], stock: Mapping[str, Any] | None = None) -> ProductDetails:
    pieces = available(stock)
    return ProductDetails(
        product_id=document["id"],
        name=document["name"],
        description=document["description"],
        unit_price=amount(document["unitPrice"], document["currency"]),
        currency=document["currency"],
        category=document["category"],
        is_out_of_stock=pieces is not None and pieces <= 0,
        available=pieces,
        user_rating=rating_of(document),
        rating_count=document["ratingCount"],
        version=document["version"],
    )


def _added(event: ProductAddedV1, at: str) -> dict[str, Any]:
    return {
        "id": str(event.product_id),
        "view": partition_key_of(event.product_id),
        "shape": SHAPES.today,
        "version": 1,
        "changes": 1,
        "addedAt": at,
        "name": event.name,
        "description": event.description,
        "unitPrice": Money(event.unit_price, event.currency).minor,
        "currency": event.currency,
        "category": event.category,
        "ratingSum": 0,
        "ratingCount": 0,
    }
