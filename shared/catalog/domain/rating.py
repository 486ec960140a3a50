"""A customer's rating of a product."""

from typing import Self, override
from uuid import UUID, uuid5

from shared.catalog.events import ProductRatedV1
from shared.kernel.aggregate import Aggregate


def rating_id(product_id: UUID, customer_id: UUID) -> UUID:
    """Give the id of a customer's rating of a product. The customer's id cannot be derived from it."""
    return uuid5(product_id, f"rating/{customer_id}")


class Rating(Aggregate[ProductRatedV1]):
    """A rating from 1 to 5, which may change."""

    product_id: UUID
    customer_id: UUID
    rating: int

    @property
    def rating_id(self) -> UUID:
        """The id, which follows from the customer and the product."""
        return rating_id(self.product_id, self.customer_id)

    @classmethod
    def give(cls, product_id: UUID, customer_id: UUID, rating: int) -> Self:
        """Rate a product for the first time."""
        given = cls()
        given._record(ProductRatedV1(product_id, customer_id, rating, None))
        return given

    def change(self, rating: int) -> None:
        """Change the rating."""
        self._record(ProductRatedV1(self.product_id, self.customer_id, rating, self.rating))

    @override
    def _apply(self, event: ProductRatedV1) -> None:
        self.product_id, self.customer_id, self.rating = event.product_id, event.customer_id, event.rating
