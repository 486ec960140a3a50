"""The documents of orders and customers as the event log makes them, with the names of today; no store is asked.

What projecting, event by event, leaves behind after some time is the same: both use the changes that the views define.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from shared.messaging.change import applied, folded
from shared.messaging.envelope import Recorded
from shared.messaging.event_log import PARAMETERS
from shared.ordering.events import OrderCreatedV1, OrderEvent, OrderItemsAddedV1
from shared.ordering.tables import CUSTOMERS, LOG, ORDERS, PRODUCTS
from shared.ordering.views import customer_summary, order_details

_CUSTOMER = sa.bindparam("customer", type_=sa.Uuid)
_ORDER = sa.bindparam("order", type_=sa.Uuid)
_MOST = sa.bindparam("most", type_=sa.Integer)
_CUSTOMERS_WITH_ORDERS = (
    sa.select(CUSTOMERS.c.customer_id, CUSTOMERS.c.name, CUSTOMERS.c.name_version, ORDERS.c.order_id)
    .select_from(CUSTOMERS.outerjoin(ORDERS, ORDERS.c.customer_id == CUSTOMERS.c.customer_id))
    .order_by(CUSTOMERS.c.customer_id, ORDERS.c.order_id)
    .limit(_MOST)
)

NEXT_ORDERS = _CUSTOMERS_WITH_ORDERS.where(
    CUSTOMERS.c.customer_id >= _CUSTOMER,  # follows from what is below, but databases do not seek by an OR
    sa.or_(
        CUSTOMERS.c.customer_id > _CUSTOMER,
        sa.and_(CUSTOMERS.c.customer_id == _CUSTOMER, ORDERS.c.order_id > _ORDER),
    ),
)
ORDERS_OF_ONE = _CUSTOMERS_WITH_ORDERS.where(CUSTOMERS.c.customer_id == _CUSTOMER)
SOME_CUSTOMERS = (
    sa.select(CUSTOMERS.c.customer_id)
    .where(CUSTOMERS.c.customer_id >= _CUSTOMER)
    .order_by(CUSTOMERS.c.customer_id)
    .limit(_MOST)
)
RENAMED_PRODUCTS = sa.select(PRODUCTS.c.product_id, PRODUCTS.c.name, PRODUCTS.c.name_version).where(
    PRODUCTS.c.product_id.in_(sa.bindparam("ids", expanding=True, type_=sa.Uuid)), PRODUCTS.c.name_version > 1
)
COUNT_ORDERS = sa.select(sa.func.count()).select_from(ORDERS)
COUNT_CUSTOMERS = sa.select(sa.func.count()).select_from(CUSTOMERS)
CHANGED_ORDERS = (
    sa.select(
        LOG.table.c.sequence,
        LOG.table.c.aggregate_version,
        LOG.table.c.occurred_at,
        LOG.table.c.aggregate_id,
        ORDERS.c.customer_id,
    )
    .select_from(LOG.table.join(ORDERS, ORDERS.c.order_id == LOG.table.c.aggregate_id))
    .where(LOG.table.c.sequence > sa.bindparam("after", type_=sa.BigInteger))
    .order_by(LOG.table.c.sequence)
    .limit(_MOST)
)

type History = Sequence[Recorded[OrderEvent]]


class Named(NamedTuple):
    """A name, and the version of its owner that gave it."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class CustomersOrders:
    """A customer, the histories of some or all orders, and the new names of products in them that were renamed."""

    customer_id: UUID
    name: Named
    histories: Sequence[History]
    products: Mapping[UUID, Named]

    def order(self, history: History) -> dict[str, Any]:
        """Make the document of an order."""
        document = document_of(history)
        self.rename(document)
        return document

    def summary(self, histories: Iterable[History], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make the customer's summary, or add orders to the one that is there; without what the store put into it."""
        document = {name: value for name, value in (before or {}).items() if not name.startswith("_")}
        document = document or customer_summary.new_summary(self.customer_id, self.name.name, self.name.version)
        self._rename_customer(document)
        for history in histories:
            for recorded in history:
                step = customer_summary.late_change(recorded, document)
                if step is not None:
                    applied(document, step)
        return document

    def rename(self, document: dict[str, Any]) -> bool:
        """Give an order's document today's names where it has older ones, and tell whether it had."""
        changed = self._rename_customer(document)
        for product_id, line in document["items"].items():
            product = self.products.get(UUID(product_id))
            if product is not None and line["productVersion"] < product.version:
                line |= {"productName": product.name, "productVersion": product.version}
                changed = True
        return changed

    def _rename_customer(self, document: dict[str, Any]) -> bool:
        if document["customerVersion"] >= self.name.version:
            return False
        document |= {"customerName": self.name.name, "customerVersion": self.name.version}
        return True


def document_of(history: History) -> dict[str, Any]:
    """Make the document that projecting these events makes, an order's first one and those that followed."""
    return folded(order_details.change(recorded) for recorded in history)


def next_orders(connection: sa.Connection, after: tuple[UUID, UUID], most: int) -> Sequence[CustomersOrders]:
    """Read the customers and orders behind this pair of ids, both in the order that the database gives them."""
    return _read(connection, NEXT_ORDERS, {"customer": after[0], "order": after[1], "most": most})


def orders_of(connection: sa.Connection, customer_id: UUID, most: int) -> CustomersOrders | None:
    """Read a customer and the orders, or as many of them; None if ordering does not know the customer."""
    found = _read(connection, ORDERS_OF_ONE, {"customer": customer_id, "most": most})
    return found[0] if found else None


def _read(connection: sa.Connection, statement: sa.Select[Any], values: dict[str, object]) -> Sequence[CustomersOrders]:
    rows = connection.execute(statement, values).all()
    histories = LOG.histories(connection, [row.order_id for row in rows if row.order_id is not None])
    products = _renamed_products(connection, histories.values())
    customers: dict[UUID, CustomersOrders] = {}
    orders: dict[UUID, list[History]] = {}
    for row in rows:
        if row.customer_id not in customers:
            name = Named(row.name, row.name_version)
            orders[row.customer_id] = []
            customers[row.customer_id] = CustomersOrders(row.customer_id, name, orders[row.customer_id], products)
        if row.order_id is not None:
            orders[row.customer_id].append(histories[row.order_id])
    return list(customers.values())


def _renamed_products(connection: sa.Connection, histories: Iterable[History]) -> dict[UUID, Named]:
    ids = {
        line.product_id
        for history in histories
        for recorded in history
        if isinstance(recorded.event, OrderCreatedV1 | OrderItemsAddedV1)
        for line in recorded.event.lines
    }
    found: dict[UUID, Named] = {}
    for some in batched(ids, PARAMETERS, strict=False):
        rows = connection.execute(RENAMED_PRODUCTS, {"ids": some})
        found |= {row.product_id: Named(row.name, row.name_version) for row in rows}
    return found
