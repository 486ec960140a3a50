"""The partitions of products as folded from the catalogue's log: a product, its stock, and its ratings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.catalog.domain.stock import stock_of
from shared.catalog.events import CatalogEvent
from shared.catalog.tables import LOG, PRODUCTS, RATINGS, STOCK
from shared.catalog.views import product_details, product_lists, product_projection, product_ratings, stock_level
from shared.catalog.views.product_details import partition_key_of, product_of
from shared.frame.messaging.envelope import Recorded
from shared.frame.read_side.document_update import DocumentUpdate, applied, folded
from shared.frame.read_side.partitions import History, Own, as_projected
from shared.frame.read_side.read_your_writes import Document
from shared.frame.read_side.shape import Shapes
from shared.frame.write_side.aggregate_streams import within_events

_PRODUCT = sa.bindparam("product", type_=sa.Uuid)
_RATING = sa.bindparam("rating", type_=sa.Uuid)
_MOST = sa.bindparam("most", type_=sa.Integer)
_PRODUCTS_WITH_RATINGS = (
    sa.select(
        PRODUCTS.c.product_id,
        PRODUCTS.c.version,
        STOCK.c.version.label("stocked"),
        RATINGS.c.rating_id,
        RATINGS.c.version.label("rated"),
    )
    .select_from(
        PRODUCTS.outerjoin(STOCK, STOCK.c.product_id == PRODUCTS.c.product_id).outerjoin(
            RATINGS, RATINGS.c.product_id == PRODUCTS.c.product_id
        )
    )
    .order_by(PRODUCTS.c.product_id, RATINGS.c.rating_id)
    .limit(_MOST)
)
NEXT_RATINGS = _PRODUCTS_WITH_RATINGS.where(
    PRODUCTS.c.product_id >= _PRODUCT,  # the OR below implies this, but databases cannot seek by an OR
    sa.or_(PRODUCTS.c.product_id > _PRODUCT, sa.and_(PRODUCTS.c.product_id == _PRODUCT, RATINGS.c.rating_id > _RATING)),
)
RATINGS_OF_ONE = _PRODUCTS_WITH_RATINGS.where(PRODUCTS.c.product_id == _PRODUCT)
SOME_PRODUCTS = (
    sa.select(PRODUCTS.c.product_id)
    .where(PRODUCTS.c.product_id >= _PRODUCT)
    .order_by(PRODUCTS.c.product_id)
    .limit(_MOST)
)
COUNT_PRODUCTS = sa.select(sa.func.count()).select_from(PRODUCTS)
COUNT_STOCK = sa.select(sa.func.count()).select_from(STOCK)
COUNT_RATINGS = sa.select(sa.func.count()).select_from(RATINGS)


@dataclass(frozen=True, slots=True)
class ProductFold:
    """A product, and some or all of its ratings; its stock only on the first page, which alone shows it."""

    product: History[CatalogEvent]
    stock: History[CatalogEvent]
    ratings: Sequence[History[CatalogEvent]]
    begins: bool = True

    @property
    def partition_key(self) -> str:
        """The product's partition."""
        return partition_key_of(self.product[0].envelope.aggregate_id)

    @property
    def histories(self) -> Sequence[History[CatalogEvent]]:
        """The histories of the ratings; on the first page of a product also those of the product and its stock."""
        if not self.begins:
            return self.ratings
        return [self.product, *([self.stock] if self.stock else []), *self.ratings]

    def gate(self, history: History[CatalogEvent]) -> str:
        """Name the document: of the product, its stock or a rating."""
        return str(history[0].envelope.aggregate_id)

    def own(self, history: History[CatalogEvent]) -> Own:
        """Make the document of the stock or a rating; the product's is shared."""
        if self._is_product(history):
            return {}
        return as_projected(_without_the_product, history)

    def shared(
        self, histories: Sequence[History[CatalogEvent]], before: Mapping[str, Document]
    ) -> Mapping[str, dict[str, Any]]:
        """Make the product's document, or add ratings to the stored one; without the store's own properties."""
        product_id = self.gate(self.product)
        document = {name: value for name, value in before.get(product_id, {}).items() if not name.startswith("_")}
        if not document:
            shown = next((history for history in histories if self._is_product(history)), self.product)
            document = folded(product_projection.project(recorded).gate for recorded in shown)
        for history in histories:
            if not self._is_product(history):
                for recorded in history:
                    for step in product_projection.project(recorded).others:
                        applied(document, step)
        return {product_id: document}

    def refresh(self, document: dict[str, Any]) -> bool:  # noqa: ARG002
        """All that these documents show is in their events."""
        return False

    def _is_product(self, history: History[CatalogEvent]) -> bool:
        return self.gate(history) == self.gate(self.product)


class ProductPartitions:
    """A partition for each product: its document, its stock's, and those of its ratings."""

    log = LOG
    counter = "changes"
    combined = frozenset({"ratingSum", "ratingCount"})

    def shapes_of(self, document: Document) -> Shapes:
        """Tell products, stock, ratings and entries in lists from one another."""
        if document.get("kind") == stock_level.KIND:
            return stock_level.SHAPES
        if document["view"] == product_lists.LISTS:
            return product_lists.SHAPES
        is_product = document["id"] == product_of(document["view"])
        return product_details.SHAPES if is_product else product_ratings.SHAPES

    def shared_ids(self, partition_key: str) -> Sequence[str]:
        """Name the product's document."""
        return [product_of(partition_key)]

    def total(self, connection: sa.Connection) -> int:
        """Count products, stock and ratings."""
        counts = (COUNT_PRODUCTS, COUNT_STOCK, COUNT_RATINGS)
        return sum(int(connection.execute(each).scalar_one()) for each in counts)

    def some(self, connection: sa.Connection, start: UUID, count: int) -> Sequence[str]:
        """Name some products."""
        values = {"product": start, "most": count}
        return [partition_key_of(id_) for id_ in connection.execute(SOME_PRODUCTS, values).scalars()]

    def key_of(self, connection: sa.Connection, id_: UUID) -> str | None:
        """Name a product's partition."""
        known = connection.execute(RATINGS_OF_ONE, {"product": id_, "most": 1}).first()
        return partition_key_of(id_) if known else None

    def next(
        self, connection: sa.Connection, position: str | None, most: int
    ) -> tuple[Sequence[ProductFold], str | None]:
        """Read the next products and ratings; the position is the product and the rating that came last.

        Both come in the order that the database gives them.
        """
        product, _, rating = (position or f"{UUID(int=0)}/{UUID(int=0)}").partition("/")
        values = {"product": UUID(product), "rating": UUID(rating), "most": most}
        rows = connection.execute(NEXT_RATINGS, values).all()
        enough = within_events(rows, _events_of(rows, UUID(product)))
        if not enough:
            return [], None
        last = enough[-1]
        return _folds(connection, enough, UUID(product)), f"{last.product_id}/{last.rating_id or UUID(int=0)}"

    def one(self, connection: sa.Connection, partition_key: str, most: int) -> ProductFold | None:
        """Read a product and its ratings, or as many of them; None if the log knows nothing of it."""
        values = {"product": UUID(product_of(partition_key)), "most": most}
        found = _folds(connection, connection.execute(RATINGS_OF_ONE, values).all())
        return found[0] if found else None


def _events_of(rows: Sequence[sa.Row[*tuple[Any, ...]]], begun: UUID) -> Sequence[int]:
    """Count the events that each row adds: those of a product and its stock come with the product's first row.

    Args:
        rows: as NEXT_RATINGS gives them.
        begun: the product that an earlier page began, whose stock is not read again.
    """
    counts: list[int] = []
    before: UUID | None = None
    for row in rows:
        product = row.version if row.product_id != before else 0
        stock = (row.stocked or 0) if row.product_id not in {before, begun} else 0
        counts.append(product + stock + (row.rated or 0))
        before = row.product_id
    return counts


def _folds(
    connection: sa.Connection, rows: Sequence[sa.Row[*tuple[Any, ...]]], begun: UUID | None = None
) -> Sequence[ProductFold]:
    ratings: dict[UUID, list[UUID]] = {}
    for row in rows:
        ratings.setdefault(row.product_id, []).extend([row.rating_id] if row.rating_id else [])
    ids_of_ratings = (id_ for ids in ratings.values() for id_ in ids)
    stocks = [stock_of(product_id) for product_id in ratings if product_id != begun]
    histories = LOG.histories(connection, [*ratings, *stocks, *ids_of_ratings])
    return [
        ProductFold(
            histories[product_id],
            histories.get(stock_of(product_id), []),
            [histories[id_] for id_ in ids],
            begins=product_id != begun,
        )
        for product_id, ids in ratings.items()
    ]


def _without_the_product(recorded: Recorded[CatalogEvent]) -> DocumentUpdate:
    return replace(product_projection.project(recorded), others=())
