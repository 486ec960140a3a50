"""Makes the documents of orders and customers from the event log, with the present names; it reads no read model.

The projection arrives at the same documents event by event: both use the document updates that the views define.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Recorded
from shared.frame.read_side.document_update import applied, folded
from shared.frame.read_side.partitions import Own
from shared.frame.read_side.read_your_writes import Document
from shared.frame.read_side.shape import Shapes
from shared.frame.sql.columns import in_ids
from shared.frame.write_side.aggregate_streams import within_events
from shared.ordering.events import OrderCreatedV1, OrderEvent, OrderItemsAddedV1
from shared.ordering.tables import CUSTOMERS, LOG, ORDERS, PRODUCTS
from shared.ordering.views import customer_summary, order_details
from shared.ordering.views.customer_summary import SUMMARY

_CUSTOMER = sa.bindparam("customer", type_=sa.Uuid)
_ORDER = sa.bindparam("order", type_=sa.Uuid)
_MOST = sa.bindparam("most", type_=sa.Integer)
_CUSTOMERS_WITH_ORDERS = (
    sa.select(CUSTOMERS.c.customer_id, CUSTOMERS.c.name, CUSTOMERS.c.name_version, ORDERS.c.order_id, ORDERS.c.version)
    .select_from(CUSTOMERS.outerjoin(ORDERS, ORDERS.c.customer_id == CUSTOMERS.c.customer_id))
    .order_by(CUSTOMERS.c.customer_id, ORDERS.c.order_id)
    .limit(_MOST)
)

NEXT_ORDERS = _CUSTOMERS_WITH_ORDERS.where(
    CUSTOMERS.c.customer_id >= _CUSTOMER,  # the OR below implies this, but databases cannot seek by an OR
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
    in_ids(PRODUCTS.c.product_id, "ids"), PRODUCTS.c.name_version > 1
)
COUNT_ORDERS = sa.select(sa.func.count()).select_from(ORDERS)
COUNT_CUSTOMERS = sa.select(sa.func.count()).select_from(CUSTOMERS)
type History = Sequence[Recorded[OrderEvent]]


class Named(NamedTuple):
    """A name, and the version of the customer or product that introduced it."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class CustomersOrders:
    """A customer, the histories of some or all orders, and the new names of their renamed products."""

    customer_id: UUID
    name: Named
    histories: Sequence[History]
    products: Mapping[UUID, Named]
    begins: bool = False

    @property
    def partition_key(self) -> str:
        """The customer."""
        return str(self.customer_id)

    def gate(self, history: History) -> str:
        """Name an order's document."""
        return str(history[0].envelope.aggregate_id)

    def own(self, history: History) -> Own:
        """Make the document of an order, with the names of today."""
        document = document_of(history)
        self.refresh(document)
        return {self.gate(history): document}

    def shared(self, histories: Sequence[History], before: Mapping[str, Document]) -> Mapping[str, dict[str, Any]]:
        """Make the customer's summary, or add orders to the stored one; without the store's own properties."""
        document = {name: value for name, value in before.get(SUMMARY, {}).items() if not name.startswith("_")}
        document = document or customer_summary.new_summary(self.customer_id, self.name.name, self.name.version)
        self._rename_customer(document)
        for history in histories:
            for recorded in history:
                step = customer_summary.late_change(recorded, document)
                if step is not None:
                    applied(document, step)
        return {SUMMARY: document}

    def refresh(self, document: dict[str, Any]) -> bool:
        """Replace older names in an order's document by the present ones, and tell whether there were any."""
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
    """Fold an order's events, from the first one on, into the document that the projection makes."""
    return folded(order_details.project(recorded) for recorded in history)


class CustomerPartitions:
    """A partition for each customer: the orders, and the summary that counts them."""

    log = LOG
    counter = "renames"
    combined = frozenset({"orders", "spent", "lastOrderDate", "recentOrders"})

    def shapes_of(self, document: Document) -> Shapes:
        """Tell summaries from orders."""
        return customer_summary.SHAPES if document["id"] == SUMMARY else order_details.SHAPES

    def shared_ids(self, partition_key: str) -> Sequence[str]:  # noqa: ARG002  # each has one
        """Name the summary."""
        return [SUMMARY]

    def total(self, connection: sa.Connection) -> int:
        """Count orders and customers."""
        return sum(int(connection.execute(each).scalar_one()) for each in (COUNT_ORDERS, COUNT_CUSTOMERS))

    def some(self, connection: sa.Connection, start: UUID, count: int) -> Sequence[str]:
        """Name some customers."""
        values = {"customer": start, "most": count}
        return [str(id_) for id_ in connection.execute(SOME_CUSTOMERS, values).scalars()]

    def key_of(self, connection: sa.Connection, id_: UUID) -> str | None:
        """Name a customer's partition."""
        return str(id_) if connection.execute(ORDERS_OF_ONE, {"customer": id_, "most": 1}).first() else None

    def next(
        self, connection: sa.Connection, position: str | None, most: int
    ) -> tuple[Sequence[CustomersOrders], str | None]:
        """Read the next customers and orders; the position is the customer and the order that came last.

        Both come in the order that the database gives them.
        """
        customer, _, order = (position or f"{UUID(int=0)}/{UUID(int=0)}").partition("/")
        values = {"customer": UUID(customer), "order": UUID(order), "most": most}
        rows = connection.execute(NEXT_ORDERS, values).all()
        found = _folds(connection, within_events(rows, [row.version or 0 for row in rows]), UUID(customer))
        if not found:
            return [], None
        last = found[-1].gate(found[-1].histories[-1]) if found[-1].histories else UUID(int=0)
        return found, f"{found[-1].customer_id}/{last}"

    def one(self, connection: sa.Connection, partition_key: str, most: int) -> CustomersOrders | None:
        """Read a customer and the orders, or as many of them; None if ordering does not know the customer."""
        values = {"customer": UUID(partition_key), "most": most}
        found = _folds(connection, connection.execute(ORDERS_OF_ONE, values).all())
        return found[0] if found else None


def _folds(
    connection: sa.Connection, rows: Sequence[sa.Row[*tuple[Any, ...]]], begun: UUID | None = None
) -> Sequence[CustomersOrders]:
    histories = LOG.histories(connection, [row.order_id for row in rows if row.order_id is not None])
    products = _renamed_products(connection, histories.values())
    customers: dict[UUID, CustomersOrders] = {}
    orders: dict[UUID, list[History]] = {}
    for row in rows:
        if row.customer_id not in customers:
            name = Named(row.name, row.name_version)
            orders[row.customer_id] = []
            customers[row.customer_id] = CustomersOrders(
                row.customer_id, name, orders[row.customer_id], products, begins=row.customer_id != begun
            )
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
    rows = connection.execute(RENAMED_PRODUCTS, {"ids": ids})
    return {row.product_id: Named(row.name, row.name_version) for row in rows}
