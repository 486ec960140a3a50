"""Purchases: each product of an order is one purchase, which lists the other products and never changes."""

from collections.abc import Iterable
from uuid import UUID, uuid5

from shared.catalog.events import BoughtTogetherV1

MOST_PRODUCTS = 10
"""Products of an order that are recorded, in the order of its lines. Each is recorded with all the others, so this
limits what one order writes."""


def purchase_id(product_id: UUID, order_id: UUID) -> UUID:
    """Give the id of the purchase of a product by an order: the stream of its one event."""
    return uuid5(product_id, f"purchase/{order_id}")


def bought_together(order_id: UUID, product_ids: Iterable[UUID]) -> list[BoughtTogetherV1]:
    """Make an event for each product of an order, with the other products; none if there is only one product."""
    products = list(dict.fromkeys(product_ids))[:MOST_PRODUCTS]
    if len(products) == 1:
        return []
    return [
        BoughtTogetherV1(product_id, order_id, tuple(other for other in products if other != product_id))
        for product_id in products
    ]
