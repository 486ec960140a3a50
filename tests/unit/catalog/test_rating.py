"""A customer's rating of a product."""

from uuid import uuid4

from shared.catalog.domain.rating import Rating, rating_id
from shared.catalog.events import ProductRatedV1

PRODUCT, CUSTOMER = uuid4(), uuid4()


def test_a_rating_says_what_it_was_before() -> None:
    rating = Rating.give(PRODUCT, CUSTOMER, 4)
    rating.change(2)
    assert rating.pending_events == [
        ProductRatedV1(PRODUCT, CUSTOMER, 4, None),
        ProductRatedV1(PRODUCT, CUSTOMER, 2, 4),
    ]
    assert (rating.rating, rating.version) == (2, 2)
    assert vars(Rating.fold(rating.pending_events)) == vars(rating) | {"pending_events": []}


def test_a_customer_has_one_rating_of_a_product() -> None:
    assert rating_id(PRODUCT, CUSTOMER) == Rating.give(PRODUCT, CUSTOMER, 4).rating_id
    assert len({rating_id(PRODUCT, CUSTOMER), rating_id(CUSTOMER, PRODUCT), rating_id(PRODUCT, uuid4())}) == 3
