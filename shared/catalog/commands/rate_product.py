"""Rate a product, for the first time or anew."""

from typing import Annotated

from pydantic import Field

from shared.catalog.domain.rating import Rating
from shared.catalog.ratings import Ratings
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, Whole
from shared.story import CUSTOMER_ID, PRODUCT_ID


class RateProduct(Input, json_schema_extra=example(productId=PRODUCT_ID, customerId=CUSTOMER_ID, rating=4)):
    """Rate a product from 1 to 5 for a customer. A customer has one rating of a product; a new one replaces it.

    Customers rate only for themselves. The ETag is that of the rating, not of the product.
    """

    product_id: Id
    customer_id: Id
    rating: Annotated[int, Field(ge=1, le=5), Whole]


def rate_product(command: RateProduct, ratings: Ratings) -> Accepted:
    """Rate it; refused as Ratings.of says."""
    rating = ratings.of(command.product_id, command.customer_id)
    if rating is None:
        return ratings.save(Rating.give(command.product_id, command.customer_id, command.rating))
    rating.change(command.rating)
    return ratings.save(rating)
