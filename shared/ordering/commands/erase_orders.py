"""Erase the personal data in the orders of erased customers, order by order, once an order is closed.

An order that was open when its customer was erased is erased when it is completed or cancelled.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.sql.engines import compact
from shared.frame.sql.reading import read_from
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.frame.write_side.writes import Write
from shared.ordering.reference_data import DELETE_SNAPSHOTS, END_ERASURE, ERASING, TO_ERASE, has_open_orders
from shared.ordering.repository import Orders

WORKS_FOR = 20.0
"""Seconds after which a tick begins no other order."""


@dataclass(frozen=True, slots=True)
class EraseOrder:
    """Erase the personal data of an order."""

    order_id: UUID


def erase_order(command: EraseOrder, orders: Orders) -> Accepted:
    """Erase it; OrderNotInStatus while it is open."""
    order = orders.load(command.order_id)
    order.erase()
    return orders.erase(order)


def erase_orders(engine: sa.Engine, writes: WriteSide) -> None:
    """Continue all erasures that are under way; it may stop anywhere, and the next tick continues there.

    An erasure ends at the tick after the one that erased the last order: by then snapshots are visible that readers
    made of the order meanwhile.
    """
    until, after = time.monotonic() + WORKS_FOR, UUID(int=0)
    ending: list[UUID] = []
    while customers := _ids(engine, ERASING, after=after):
        for after in customers:
            if not _ids(engine, TO_ERASE, customer=after, after=UUID(int=0)):
                _write(engine, DELETE_SNAPSHOTS, [after])
                ending += [] if read_from(engine, partial(has_open_orders, customer_id=after)) else [after]
            elif not _erase_orders_of(after, engine, writes, until):
                return
    if ending:
        compact(engine)
        _write(engine, END_ERASURE, ending)


def _erase_orders_of(customer_id: UUID, engine: sa.Engine, writes: WriteSide, until: float) -> bool:
    """Erase a customer's closed orders, and tell whether there was time for all of them."""
    after = UUID(int=0)
    while orders := _ids(engine, TO_ERASE, customer=customer_id, after=after):
        for after in orders:
            if time.monotonic() > until:
                return False
            writes.run(erase_order, EraseOrder(after), Metadata(actor="erasure"))
    return True


def _ids(engine: sa.Engine, statement: sa.Select[Any], **values: UUID) -> Sequence[UUID]:
    return read_from(engine, lambda connection: connection.execute(statement, values).scalars().all())


def _write(engine: sa.Engine, write: Write, customer_ids: Sequence[UUID]) -> None:
    with UnitOfWork(engine) as work:
        work.write(write, [{"id": customer_id} for customer_id in customer_ids])
        work.commit()
