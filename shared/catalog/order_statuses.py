"""What the catalogue knows of ordering's orders, and what it answers."""

from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa

from shared.catalog.events import AnswerToOrdering, OrderSettledV1, StockNotKeptV1
from shared.catalog.tables import LOG, ORDERS
from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.frame.write_side.writes import Write, by_name, insert
from shared.ordering.events import OrderStatus

_ID = sa.bindparam("id", type_=sa.Uuid)

LOAD = sa.select(ORDERS).where(ORDERS.c.order_id == _ID)
INSERT = insert(ORDERS)
UPDATE = Write(
    sa.update(ORDERS)
    .where(ORDERS.c.order_id == _ID, ORDERS.c.revision == sa.bindparam("loaded_revision", type_=sa.BigInteger))
    .values(by_name(ORDERS.c.status, ORDERS.c.revision))
)

_STEPS = (
    OrderStatus.CREATED,
    OrderStatus.SUBMITTED,
    OrderStatus.CONFIRMED,
    OrderStatus.COMPLETED,
    OrderStatus.CANCELLED,
)


class OrderStatuses:
    """The statuses of orders, as ordering's events have told so far."""

    def __init__(self, work: UnitOfWork, metadata: Metadata) -> None:
        self._work = work
        self._metadata = metadata

    def status(self, order_id: UUID) -> OrderStatus | None:
        """Give an order's status; None if no event of it has arrived."""
        rows = self._work.read(LOAD, {"id": order_id})
        return OrderStatus(rows[0].status) if rows else None

    def record(self, order_id: UUID, status: OrderStatus) -> OrderStatus:
        """Record the status of an event, which may come late, and give the status that was known before.

        Committing raises LostRace if another event of the order was recorded meanwhile, so that neither overlooks the
        other.
        """
        rows = self._work.read(LOAD, {"id": order_id})
        if not rows:
            self._work.write(INSERT, [{"order_id": order_id, "status": status, "revision": 1}])
            return OrderStatus.CREATED
        before, revision = OrderStatus(rows[0].status), rows[0].revision
        further = max(before, status, key=_STEPS.index)
        row = {"id": order_id, "loaded_revision": revision, "status": further, "revision": revision + 1}
        self._work.write(UPDATE, [row], must_find=True)
        return before

    def publish_not_kept(self, order_id: UUID, lines: int) -> None:
        """Publish the number of lines of a submitted order for which no stock is kept; nothing if it is 0."""
        if lines:
            self._publish(uuid5(order_id, "not kept"), StockNotKeptV1(order_id, lines))

    def publish_settled(self, order_id: UUID, shipped: int) -> None:
        """Publish that no piece of an order is shipped any more, and how many were."""
        self._publish(uuid5(order_id, "settled"), OrderSettledV1(order_id, shipped))

    def _publish(self, stream: UUID, answer: AnswerToOrdering) -> None:
        events: Any = [answer]  # the log's other events are a product's
        LOG.append(self._work, stream, 0, events, self._metadata)
