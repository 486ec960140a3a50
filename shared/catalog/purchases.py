"""Records which products were ordered together, and finds related products by that."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

import sqlalchemy as sa

from shared.catalog.domain.purchase import bought_together, purchase_id
from shared.catalog.tables import LOG, PRODUCTS, PURCHASES, STOCK
from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.frame.write_side.writes import insert

ALTERNATIVES = 3
"""Products that are suggested in place of one that is not available."""

LOOKED_AT = 100
"""The numbers of latest purchases, and of products of the same category, among which alternatives are searched."""

_ID = sa.bindparam("id", type_=sa.Uuid)
_MOST = sa.bindparam("most", type_=sa.Integer)

INSERT = insert(PURCHASES)

_THERE = sa.or_(STOCK.c.stock_id.is_(None), STOCK.c.on_hand > STOCK.c.reserved)
_LATEST = (
    sa.select(PURCHASES.c.order_id)
    .where(PURCHASES.c.product_id == _ID)
    .order_by(PURCHASES.c.at.desc(), PURCHASES.c.order_id.desc())
    .limit(_MOST)
    .offset(0)  # or SQLAlchemy leaves the order out of a subquery of T-SQL
    .subquery("latest")
)
_OTHER = PURCHASES.alias("other")
BOUGHT_TOGETHER = (
    sa.select(_OTHER.c.product_id)
    .select_from(
        _LATEST.join(_OTHER, _OTHER.c.order_id == _LATEST.c.order_id).outerjoin(
            STOCK, STOCK.c.product_id == _OTHER.c.product_id
        )
    )
    .where(_OTHER.c.product_id != _ID, _THERE)
    .group_by(_OTHER.c.product_id)
    .order_by(sa.func.count().desc(), _OTHER.c.product_id)
)
_SAME = PRODUCTS.alias("same")
_IN_CATEGORY = (
    sa.select(_SAME.c.product_id)
    .select_from(PRODUCTS.join(_SAME, _SAME.c.category == PRODUCTS.c.category))
    .where(PRODUCTS.c.product_id == _ID, _SAME.c.product_id != _ID)
    .order_by(_SAME.c.product_id)
    .limit(_MOST)
    .offset(0)  # or SQLAlchemy leaves the order out of a subquery of T-SQL
    .subquery("in_category")
)
OF_THE_SAME_CATEGORY = (
    sa.select(_IN_CATEGORY.c.product_id)
    .select_from(_IN_CATEGORY.outerjoin(STOCK, STOCK.c.product_id == _IN_CATEGORY.c.product_id))
    .where(_THERE)
    .order_by(_IN_CATEGORY.c.product_id)
)
OF_PRODUCT = (
    sa.select(PURCHASES.c.purchase_id)
    .where(PURCHASES.c.product_id == _ID)
    .order_by(PURCHASES.c.purchase_id)
    .limit(_MOST)
)


class Purchases:
    """The purchases, within one unit of work."""

    def __init__(self, work: UnitOfWork, metadata: Metadata) -> None:
        self._work = work
        self._metadata = metadata

    def note(self, order_id: UUID, product_ids: Iterable[UUID]) -> None:
        """Record the products of a submitted order."""
        purchases = {purchase_id(event.product_id, order_id): event for event in bought_together(order_id, product_ids)}
        self._work.write(
            INSERT,
            [
                {"purchase_id": id_, "product_id": event.product_id, "order_id": order_id, "at": self._metadata.at}
                for id_, event in purchases.items()
            ],
        )
        for id_, event in purchases.items():
            LOG.append(self._work, id_, 0, [event], self._metadata)

    def alternatives_to(self, product_id: UUID, ordered: Collection[UUID] = ()) -> list[UUID]:
        """Give a few available products that are not `ordered`: often bought with this one, or of its category."""
        parameters = {"id": product_id, "most": LOOKED_AT}
        found: list[UUID] = []
        for statement in (BOUGHT_TOGETHER, OF_THE_SAME_CATEGORY):
            if len(found) < ALTERNATIVES:
                rows = self._work.read(statement, parameters)
                found += [row.product_id for row in rows if row.product_id not in {*ordered, *found}]
        return found[:ALTERNATIVES]


def purchases_in(connection: sa.Connection, product_id: UUID, most: int) -> Sequence[UUID]:
    """Give the ids of a product's purchases, or as many of them."""
    return connection.execute(OF_PRODUCT, {"id": product_id, "most": most}).scalars().all()
