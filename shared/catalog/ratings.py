"""How ratings are loaded and saved."""

from collections.abc import Mapping, Sequence
from typing import Any, override
from uuid import UUID

import sqlalchemy as sa

from shared.catalog.domain.errors import ProductNotFound
from shared.catalog.domain.rating import Rating, rating_id
from shared.catalog.tables import LOG, PRODUCTS, RATINGS
from shared.frame.write_side.repository import Repository
from shared.frame.write_side.unit_of_work import LostRace
from shared.frame.write_side.writes import insert, versioned_update
from shared.kernel.refusals import InputError, Invalid

_ID = sa.bindparam("id", type_=sa.Uuid)

LOAD = (
    sa.select(PRODUCTS.c.product_id.label("known_product"), *RATINGS.c)
    .select_from(PRODUCTS.outerjoin(RATINGS, RATINGS.c.rating_id == _ID))
    .where(PRODUCTS.c.product_id == sa.bindparam("product", type_=sa.Uuid))
)
INSERT = insert(RATINGS)
UPDATE = versioned_update(RATINGS, RATINGS.c.version, RATINGS.c.rating, RATINGS.c.changed_at)

OF_CUSTOMER = (
    sa.select(RATINGS.c.rating_id)
    .where(
        RATINGS.c.customer_id == sa.bindparam("customer", type_=sa.Uuid),
        RATINGS.c.rating_id > sa.bindparam("after", type_=sa.Uuid),
    )
    .order_by(RATINGS.c.rating_id)
    .limit(100)
)


class Ratings(Repository[Rating]):
    """The ratings; a customer reaches only their own."""

    noun, key = "rating", "rating_id"
    log, select, insert, update = LOG, LOAD, INSERT, UPDATE
    missing, taken = ProductNotFound, LostRace

    def of(self, product_id: UUID, customer_id: UUID) -> Rating | None:
        """Load a customer's rating of a product; None if there is none yet.

        Raises:
            Invalid: a customer acts for another one.
            ProductNotFound: there is no such product.
            StaleVersion: the rating is not at the version that the caller expects.
        """
        if self._metadata.owner_id not in {None, customer_id}:
            unknown = InputError("/customerId", f"there is no customer {customer_id}")
            raise Invalid("The rating names a customer who does not exist.", [unknown])
        id_ = rating_id(product_id, customer_id)
        self._work.stand_in_line(id_)
        rows = self._work.read(LOAD, {"id": id_, "product": product_id})
        if not rows:
            raise ProductNotFound(f"There is no product {product_id}.")
        if rows[0].version is None:
            return None
        self._expect(id_, rows[0].version)
        return self._aggregate(rows)

    @override
    def _aggregate(self, rows: Sequence[sa.Row[Any]]) -> Rating:
        [row] = rows
        rating = Rating()
        rating.version = row.version
        rating.product_id, rating.customer_id, rating.rating = row.product_id, row.customer_id, row.rating
        return rating

    @override
    def _immutable_columns(self, rating: Rating) -> Mapping[str, Any]:
        return {"product_id": rating.product_id, "customer_id": rating.customer_id}

    @override
    def _mutable_columns(self, rating: Rating) -> Mapping[str, Any]:
        return {"rating": rating.rating}


def next_ratings_of(connection: sa.Connection, customer_id: UUID, after: UUID) -> Sequence[UUID]:
    """Give the next of a customer's ratings behind an id."""
    return connection.execute(OF_CUSTOMER, {"customer": customer_id, "after": after}).scalars().all()
