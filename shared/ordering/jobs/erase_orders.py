"""Erase the personal data in the orders of erased customers, order by order, once an order is closed.

An order that was submitted when its customer was erased is erased when it is completed or cancelled, and its payment
has begun, if any is due. A draft is cancelled and erased: nobody would submit it any more.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.messaging.retries import tell
from shared.frame.sql.compaction import compact
from shared.frame.sql.reading import read_from
from shared.frame.write_side.commands import LONG_WORK, WriteSide
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.frame.write_side.writes import Write
from shared.ordering.domain.errors import OrderNotInStatus
from shared.ordering.events import OrderPaymentStatus
from shared.ordering.fulfilment.repository import Fulfilments
from shared.ordering.repository import Orders
from shared.ordering.tables import CUSTOMERS, ORDERS, SNAPSHOTS, UNDER_WAY

logger = logging.getLogger(__name__)

WORKS_FOR = 20.0
"""Seconds after which a tick begins no other order."""

_ID = sa.bindparam("id", type_=sa.Uuid)
_AFTER = sa.bindparam("after", type_=sa.Uuid)
ERASING = (
    sa.select(CUSTOMERS.c.customer_id)
    .where(CUSTOMERS.c.erasure == sa.literal_column("1"), CUSTOMERS.c.customer_id > _AFTER)
    .order_by(CUSTOMERS.c.customer_id)
    .limit(100)
)
_OF_CUSTOMER = ORDERS.c.customer_id == sa.bindparam("customer", type_=sa.Uuid)
_NOT_ERASED = ORDERS.c.erased == sa.literal_column("0")
NOT_ERASED = sa.select(ORDERS.c.order_id).where(_OF_CUSTOMER, _NOT_ERASED).limit(1)
TO_ERASE = (
    sa.select(ORDERS.c.order_id)
    .where(_OF_CUSTOMER, ORDERS.c.status.not_in(UNDER_WAY), _NOT_ERASED, ORDERS.c.order_id > _AFTER)
    .order_by(ORDERS.c.order_id)
    .limit(500)
)
DELETE_SNAPSHOTS = Write(
    sa.delete(SNAPSHOTS).where(
        SNAPSHOTS.c.aggregate_id.in_(
            sa.select(ORDERS.c.order_id).where(ORDERS.c.customer_id == _ID, ORDERS.c.erased == sa.literal_column("1"))
        )
    )
)
END_ERASURE = Write(sa.update(CUSTOMERS).where(CUSTOMERS.c.customer_id == _ID).values(erasure=sa.literal_column("2")))


@dataclass(frozen=True, slots=True)
class EraseOrder:
    """Erase the personal data of an order."""

    order_id: UUID


def erase_order(command: EraseOrder, orders: Orders, fulfilments: Fulfilments) -> Accepted:
    """Erase it, and cancel it before if it is a draft.

    Raises:
        OrderNotInStatus: it is under way, or its fulfilment has a token, with which it may ask for a payment yet, or
            has asked, and payments have not told of it: one that begins after the erasure would not be erased.
    """
    order, process = orders.load(command.order_id), fulfilments.find(command.order_id)
    if process is not None and process.token is not None:
        raise OrderNotInStatus(f"Order {order.order_id} is {order.status}: it may have to be paid yet.")
    is_pending = order.payment is not None and order.payment.status is OrderPaymentStatus.PENDING
    if process is not None and process.asked and is_pending:
        raise OrderNotInStatus(f"Order {order.order_id} is {order.status}: its payment has yet to begin.")
    order.erase()
    return orders.erase(order)


def erase_orders(engine: sa.Engine, writes: WriteSide) -> None:
    """Continue all erasures that are under way; it may stop anywhere, and the next tick continues there.

    An erasure ends at the tick after the one that erased the last order: by then snapshots are visible that readers
    made of the order meanwhile. An order that could not be erased does not stop the others, and is tried again.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
        sqlite3.OperationalError: as `compact`.
    """
    until = time.monotonic() + WORKS_FOR
    erased: list[UUID] = []
    for customer_id in _pages(engine, ERASING):
        # an erased customer orders nothing any more: once all orders are erased, none is left to come
        all_erased = not _ids(engine, NOT_ERASED, customer=customer_id)
        if not _erase_orders_of(customer_id, engine, writes, until):
            break
        _write(engine, DELETE_SNAPSHOTS, [customer_id])
        if all_erased:
            erased.append(customer_id)
    if erased:
        compact(engine)
        _write(engine, END_ERASURE, erased)


def _erase_orders_of(customer_id: UUID, engine: sa.Engine, writes: WriteSide, until: float) -> bool:
    """Erase a customer's closed orders and drafts, and tell whether there was time for all of them."""
    for order_id in _pages(engine, TO_ERASE, customer=customer_id):
        if time.monotonic() > until:
            return False
        try:
            writes.run(erase_order, EraseOrder(order_id), Metadata(actor="erasure"), LONG_WORK)
        except OrderNotInStatus as refusal:
            logger.info("not erased yet: %s", refusal)
        except Exception as error:  # noqa: BLE001  # one order's failure must not stop the others
            tell(logger, error, f"order {order_id} was not erased, and is at the next tick")
    return True


def _pages(engine: sa.Engine, statement: sa.Select[Any], **values: UUID) -> Iterator[UUID]:
    after = UUID(int=0)
    while ids := _ids(engine, statement, after=after, **values):
        yield from ids
        after = ids[-1]


def _ids(engine: sa.Engine, statement: sa.Select[Any], **values: UUID) -> Sequence[UUID]:
    return read_from(engine, lambda connection: connection.execute(statement, values).scalars().all())


def _write(engine: sa.Engine, write: Write, customer_ids: Sequence[UUID]) -> None:
    with UnitOfWork(engine) as work:
        work.write(write, [{"id": customer_id} for customer_id in customer_ids])
        work.commit()
