"""Finds orders: those that show a name, and those of a customer.

An order with an old name was committed before the copy of that name changed; a later order has the new name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.ordering.events import fulfilment_of
from shared.ordering.tables import ORDER_LINES, ORDERS, UNDER_WAY

_ID = sa.bindparam("id", type_=sa.Uuid)
_NEXT_PAGE = (ORDERS.c.order_id > sa.bindparam("after", type_=sa.Uuid),)
PAGE = 500

ORDERS_WITH_PRODUCT = (
    sa.select(ORDERS.c.order_id, ORDERS.c.customer_id, ORDERS.c.version)
    .select_from(ORDERS.join(ORDER_LINES))
    .where(
        ORDER_LINES.c.product_id == _ID,
        ORDER_LINES.c.product_version < sa.bindparam("event_version", type_=sa.BigInteger),
        *_NEXT_PAGE,
    )
    .order_by(ORDERS.c.order_id)
    .limit(PAGE)
)
ORDERS_OF_CUSTOMER = (
    sa.select(ORDERS.c.order_id, ORDERS.c.customer_id, ORDERS.c.version)
    .where(ORDERS.c.customer_id == _ID, *_NEXT_PAGE)
    .order_by(ORDERS.c.order_id)
    .limit(PAGE)
)
OPEN_ORDER = (
    sa.select(ORDERS.c.order_id)
    .where(ORDERS.c.customer_id == sa.bindparam("customer", type_=sa.Uuid), ORDERS.c.status.in_(UNDER_WAY))
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class OrderToCorrect:
    """An order that may show an old name, and the version that its document must have to show all its items."""

    order_id: UUID
    customer_id: UUID
    version: int


def orders_with_product(connection: sa.Connection, product_id: UUID, before_version: int) -> Iterator[OrderToCorrect]:
    """Find the orders whose line took the product's name from a version before this one."""
    return _pages(connection, ORDERS_WITH_PRODUCT, {"id": product_id, "event_version": before_version})


def orders_of_customer(connection: sa.Connection, customer_id: UUID) -> Iterator[OrderToCorrect]:
    """Find all orders of a customer."""
    return _pages(connection, ORDERS_OF_CUSTOMER, {"id": customer_id})


def next_orders_of(connection: sa.Connection, customer_id: UUID, after: UUID) -> Sequence[UUID]:
    """Give the next of a customer's orders behind an id."""
    rows = connection.execute(ORDERS_OF_CUSTOMER, {"id": customer_id, "after": after}).all()
    return [row.order_id for row in rows]


def streams_of(order_id: UUID) -> Sequence[UUID]:
    """Give the ids under which the log has an order's events and those of its fulfilment."""
    return [order_id, fulfilment_of(order_id)]


def has_open_orders(connection: sa.Connection, customer_id: UUID) -> bool:
    """Tell whether any of a customer's orders is submitted, and neither completed nor cancelled."""
    return connection.execute(OPEN_ORDER, {"customer": customer_id}).first() is not None


def _pages(
    connection: sa.Connection, statement: sa.Select[Any], parameters: dict[str, object]
) -> Iterator[OrderToCorrect]:
    after = UUID(int=0)
    while rows := connection.execute(statement, parameters | {"after": after}).all():
        yield from (OrderToCorrect(*row) for row in rows)
        after = rows[-1].order_id
