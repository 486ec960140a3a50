"""How orders are loaded and saved: one statement to load, and one for each table that a command changes."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.kernel.money import Money
from shared.kernel.refusals import StaleVersion
from shared.messaging.envelope import Accepted, Metadata
from shared.ordering.domain.errors import OrderAlreadyExists, OrderNotFound
from shared.ordering.domain.offer import Customer, Product
from shared.ordering.domain.order import Order
from shared.ordering.events import Address, OrderItemRemovedV1, OrderItemsAddedV1, OrderLine, OrderStatus
from shared.ordering.tables import CUSTOMERS, LOG, ORDER_LINES, ORDERS, PRODUCTS
from shared.platform.write_side import LostRace

_ID = sa.bindparam("id", type_=sa.Uuid)
_PRODUCT_COLUMNS = (
    PRODUCTS.c.product_id.label("offer_id"),
    PRODUCTS.c.name.label("offer_name"),
    PRODUCTS.c.name_version.label("offer_version"),
    PRODUCTS.c.unit_price.label("offer_price"),
    PRODUCTS.c.currency.label("offer_currency"),
)
_UNTIL_COMMIT = "WITH (REPEATABLEREAD)"
"""On Azure SQL, keeps what is read as it is until the commit: a rename that commits later finds the order in the
tables, and corrects its documents. SQLite's transactions do so by themselves."""

_LINE_COLUMNS = tuple(column for column in ORDER_LINES.c if column.name != "order_id")

LOAD = sa.select(ORDERS, *_LINE_COLUMNS).select_from(ORDERS.outerjoin(ORDER_LINES)).where(ORDERS.c.order_id == _ID)
LOAD_WITH_PRODUCT = (
    sa.select(ORDERS, *_LINE_COLUMNS, *_PRODUCT_COLUMNS)
    .select_from(
        ORDERS.outerjoin(ORDER_LINES).outerjoin(
            PRODUCTS, PRODUCTS.c.product_id == sa.bindparam("product", type_=sa.Uuid)
        )
    )
    .with_hint(PRODUCTS, _UNTIL_COMMIT, "mssql")
    .where(ORDERS.c.order_id == _ID)
)
LOAD_CUSTOMER_WITH_PRODUCTS = (
    sa.select(CUSTOMERS.c.name, CUSTOMERS.c.name_version, *_PRODUCT_COLUMNS)
    .select_from(
        sa.outerjoin(
            sa.select(sa.cast(_ID, sa.Uuid).label("wanted")).subquery("request"),
            CUSTOMERS,
            CUSTOMERS.c.customer_id == sa.column("wanted", sa.Uuid),
        ).outerjoin(PRODUCTS, PRODUCTS.c.product_id.in_(sa.bindparam("products", expanding=True, type_=sa.Uuid)))
    )
    .with_hint(PRODUCTS, _UNTIL_COMMIT, "mssql")
    .with_hint(CUSTOMERS, _UNTIL_COMMIT, "mssql")
)
INSERT_ORDER = sa.insert(ORDERS)
UPDATE_ORDER = (
    sa.update(ORDERS)
    .where(ORDERS.c.order_id == _ID, ORDERS.c.version == sa.bindparam("loaded_version", type_=sa.BigInteger))
    .values(
        {
            column: sa.bindparam(column.name)
            for column in (
                ORDERS.c.version,
                ORDERS.c.status,
                ORDERS.c.currency,
                ORDERS.c.total,
                ORDERS.c.lines_ever,
                ORDERS.c.cancel_reason,
                ORDERS.c.changed_at,
            )
        }
    )
)
_LINE = (ORDER_LINES.c.order_id == _ID, ORDER_LINES.c.product_id == sa.bindparam("product", type_=sa.Uuid))
INSERT_LINES = sa.insert(ORDER_LINES)
UPDATE_LINE = (
    sa.update(ORDER_LINES)
    .where(*_LINE)
    .values(
        {
            column: sa.bindparam(column.name)
            for column in (
                ORDER_LINES.c.product_name,
                ORDER_LINES.c.product_version,
                ORDER_LINES.c.quantity,
                ORDER_LINES.c.unit_price,
            )
        }
    )
)
DELETE_LINE = sa.delete(ORDER_LINES).where(*_LINE)


class Orders:
    """The orders, within one transaction and on behalf of one command."""

    def __init__(self, connection: sa.Connection, metadata: Metadata) -> None:
        self._connection = connection
        self._metadata = metadata
        self._known_lines: Collection[UUID] = ()

    def load(self, order_id: UUID) -> Order:
        """Load an order.

        Raises:
            OrderNotFound: there is none with this id, or it is not the customer's who acts.
            StaleVersion: it is not at the version that the caller acts on.
        """
        return self._order(order_id, self._connection.execute(LOAD, {"id": order_id}).mappings().all())

    def load_with_product(self, order_id: UUID, product_id: UUID) -> tuple[Order, Product | None]:
        """Load an order and a product on offer, which is None where ordering knows of no such product.

        Raises:
            OrderNotFound: there is no order with this id, or it is not the customer's who acts.
            StaleVersion: it is not at the version that the caller acts on.
        """
        rows = self._connection.execute(LOAD_WITH_PRODUCT, {"id": order_id, "product": product_id}).mappings().all()
        order = self._order(order_id, rows)
        return order, _product(rows[0])

    def load_offer(
        self, customer_id: UUID, product_ids: Collection[UUID]
    ) -> tuple[Customer | None, dict[UUID, Product]]:
        """Load a customer, None where unknown or another than who acts, and those of the products that are known."""
        rows = (
            self._connection.execute(LOAD_CUSTOMER_WITH_PRODUCTS, {"id": customer_id, "products": list(product_ids)})
            .mappings()
            .all()
        )
        products = {product.product_id: product for row in rows if (product := _product(row))}
        first = rows[0]
        if first["name"] is None or not self._reaches(customer_id):
            return None, products
        return Customer(customer_id, first["name"], first["name_version"]), products

    def save(self, order: Order) -> Accepted:
        """Write what the command changed, and its events.

        Raises:
            OrderAlreadyExists: a new order's id is taken.
            LostRace: another command changed the order since it was loaded.
        """
        if order.loaded_version == 0:
            self._insert(order)
        else:
            self._update(order)
        LOG.append(self._connection, order.order_id, order.loaded_version, order.changes, self._metadata)
        return Accepted(order.order_id, order.version)

    def _insert(self, order: Order) -> None:
        if self._metadata.expected_version is not None:
            raise StaleVersion("An order that is yet to be created has no version.")
        address = order.shipping_address
        row = self._order_row(order) | {
            "order_id": order.order_id,
            "customer_id": order.customer_id,
            "street": address.street,
            "city": address.city,
            "postal_code": address.postal_code,
            "region": address.region,
            "country": address.country,
            "created_at": self._metadata.at,
        }
        try:
            self._connection.execute(INSERT_ORDER, row)
        except sa.exc.IntegrityError as error:
            raise OrderAlreadyExists(f"There is an order {order.order_id} already.") from error
        if order.lines:
            self._connection.execute(
                INSERT_LINES, [{"order_id": order.order_id} | _line_row(line) for line in order.lines.values()]
            )

    def _update(self, order: Order) -> None:
        keys = {"id": order.order_id, "loaded_version": order.loaded_version}
        if self._connection.execute(UPDATE_ORDER, keys | self._order_row(order)).rowcount == 0:
            raise LostRace
        for event in order.changes:
            match event:
                case OrderItemsAddedV1():
                    self._save_lines(order.order_id, event.lines)
                case OrderItemRemovedV1():
                    self._connection.execute(DELETE_LINE, {"id": order.order_id, "product": event.product_id})
                case _:
                    pass  # the other events change no line

    def _save_lines(self, order_id: UUID, lines: Collection[OrderLine]) -> None:
        new = [line for line in lines if line.product_id not in self._known_lines]
        known = [line for line in lines if line.product_id in self._known_lines]
        if new:
            self._connection.execute(INSERT_LINES, [{"order_id": order_id} | _line_row(line) for line in new])
        if known:
            self._connection.execute(
                UPDATE_LINE,
                [{"id": order_id, "product": line.product_id} | _line_row(line) for line in known],
            )

    def _order_row(self, order: Order) -> dict[str, Any]:
        return {
            "version": order.version,
            "status": order.status,
            "currency": order.currency,
            "total": order.total,
            "lines_ever": order.lines_ever,
            "cancel_reason": order.cancel_reason,
            "changed_at": self._metadata.at,
        }

    def _order(self, order_id: UUID, rows: Sequence[sa.RowMapping]) -> Order:
        expected = self._metadata.expected_version
        if not rows or not self._reaches(rows[0]["customer_id"]):
            raise OrderNotFound(f"There is no order {order_id}.")
        order = _order(rows)
        self._known_lines = order.lines.keys()
        if expected is not None and expected != order.version:
            raise StaleVersion(f"Order {order_id} is at version {order.version}, not {expected}.")
        return order

    def _reaches(self, customer_id: UUID) -> bool:
        return self._metadata.customer_id in {None, customer_id}


def _order(rows: Sequence[sa.RowMapping]) -> Order:
    head = rows[0]
    order = Order()
    order.order_id = head["order_id"]
    order.customer_id = head["customer_id"]
    order.version = head["version"]
    order.status = OrderStatus(head["status"])
    order.currency = head["currency"]
    order.total = head["total"]
    order.lines_ever = head["lines_ever"]
    order.cancel_reason = head["cancel_reason"]
    order.shipping_address = Address(
        street=head["street"],
        city=head["city"],
        postal_code=head["postal_code"],
        region=head["region"],
        country=head["country"],
    )
    order.lines = {
        row["product_id"]: OrderLine(
            number=row["number"],
            product_id=row["product_id"],
            product_name=row["product_name"],
            product_version=row["product_version"],
            quantity=row["quantity"],
            unit_price=row["unit_price"],
        )
        for row in rows
        if row["product_id"] is not None
    }
    return order


def _product(row: sa.RowMapping) -> Product | None:
    if row["offer_id"] is None:
        return None
    price = Money(Decimal(row["offer_price"]), row["offer_currency"])
    return Product(row["offer_id"], row["offer_name"], price, row["offer_version"])


def _line_row(line: OrderLine) -> dict[str, Any]:
    return {
        "product_id": line.product_id,
        "number": line.number,
        "product_name": line.product_name,
        "product_version": line.product_version,
        "quantity": line.quantity,
        "unit_price": line.unit_price,
    }
