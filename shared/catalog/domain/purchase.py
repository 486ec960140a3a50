"""What was ordered together: each product of an order is one purchase, which never changes."""

from collections.abc import Iterable
from uuid import UUID, uuid5

from shared.catalog.events import BoughtTogetherV1

MOST_PRODUCTS = 10
"""Of an order, in the order of its lines: each is noted with all the others, so this bounds what an order leaves."""


def purchase_id(product_id: UUID, order_id: UUID) -> UUID:
    """Name the one purchase of a product by an order: the stream of its one event."""
    return uuid5(product_id, f"purchase/{order_id}")


def bought_together(order_id: UUID, product_ids: Iterable[UUID]) -> list[BoughtTogetherV1]:
    """Tell of each product of an order what it was ordered with; nothing if there is one product only."""
    products = list(dict.fromkeys(product_ids))[:MOST_PRODUCTS]
    if len(products) == 1:
        return []
    return [
        BoughtTogetherV1(product_id, order_id, tuple(other for other in products if other != product_id))
        for product_id in products
    ]
