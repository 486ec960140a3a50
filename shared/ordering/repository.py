"""Loads and saves orders: one request loads an order, and one writes all changes of a command."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, override
from uuid import UUID

import sqlalchemy as sa

from shared.frame.sql.columns import in_ids
from shared.frame.write_side.repository import Repository
from shared.frame.write_side.writes import Check, Write, at_version, by_name, insert, versioned_update
from shared.kernel.money import Money
from shared.ordering.domain.errors import OrderAlreadyExists, OrderNotFound
from shared.ordering.domain.offer import Customer, Product
from shared.ordering.domain.order import LineStock, Order, OrderPayment
from shared.ordering.events import (
    Address,
    OrderErasedV1,
    OrderItemRemovedV1,
    OrderItemsAddedV1,
    OrderLine,
    OrderPaymentStatus,
    OrderShippingAddressChangedV1,
    OrderStatus,
    OrderStockChangedV2,
)
from shared.ordering.tables import CUSTOMER_ADDRESSES, CUSTOMERS, LOG, ORDER_LINES, ORDERS, PRODUCTS

_ID = sa.bindparam("id", type_=sa.Uuid)
_PRODUCT_COLUMNS = (
    PRODUCTS.c.product_id.label("offer_id"),
    PRODUCTS.c.name.label("offer_name"),
    PRODUCTS.c.name_version.label("offer_version"),
    PRODUCTS.c.unit_price.label("offer_price"),
    PRODUCTS.c.currency.label("offer_currency"),
    PRODUCTS.c.price_version.label("offer_price_version"),
)
_LINE_COLUMNS = tuple(column for column in ORDER_LINES.c if column.name != "order_id")
_UNTIL_COMMIT = "WITH (REPEATABLEREAD, FORCESEEK)"
"""On Azure SQL, locks the checked rows until the commit: whoever changes one of them commits later, and its event makes
somebody look at what was written here. SQLite's transactions lock by themselves."""

LOAD = sa.select(ORDERS, *_LINE_COLUMNS).select_from(ORDERS.outerjoin(ORDER_LINES)).where(ORDERS.c.order_id == _ID)
LOAD_WITH_PRODUCT = (
    sa.select(ORDERS, *_LINE_COLUMNS, *_PRODUCT_COLUMNS)
    .select_from(
        ORDERS.outerjoin(ORDER_LINES).outerjoin(
            PRODUCTS, PRODUCTS.c.product_id == sa.bindparam("product", type_=sa.Uuid)
        )
    )
    .where(ORDERS.c.order_id == _ID)
)
_ADDRESS_COLUMNS = tuple(CUSTOMER_ADDRESSES.c[name] for name in ("street", "city", "postal_code", "region", "country"))
LOAD_CUSTOMER_WITH_PRODUCTS = sa.select(
    CUSTOMERS.c.name, CUSTOMERS.c.name_version, CUSTOMERS.c.erasure, *_ADDRESS_COLUMNS, *_PRODUCT_COLUMNS
).select_from(
    sa.outerjoin(
        sa.select(sa.cast(_ID, sa.Uuid).label("wanted")).subquery("request"),
        CUSTOMERS,
        CUSTOMERS.c.customer_id == sa.column("wanted", sa.Uuid),
    )
    .outerjoin(
        CUSTOMER_ADDRESSES,
        sa.and_(
            CUSTOMER_ADDRESSES.c.customer_id == CUSTOMERS.c.customer_id,
            CUSTOMER_ADDRESSES.c.address_id
            == sa.func.coalesce(
                sa.cast(sa.bindparam("address", type_=sa.Uuid), sa.Uuid), CUSTOMERS.c.default_address_id
            ),
        ),
    )
    .outerjoin(PRODUCTS, in_ids(PRODUCTS.c.product_id, "products"))
)
SAME_CUSTOMER = Check(
    sa.select(CUSTOMERS.c.customer_id)
    .with_hint(CUSTOMERS, _UNTIL_COMMIT, "mssql")
    .where(
        CUSTOMERS.c.customer_id == _ID,
        CUSTOMERS.c.name_version == sa.bindparam("name_version", type_=sa.BigInteger),
    )
)
SAME_PRODUCT = Check(
    sa.select(PRODUCTS.c.product_id)
    .with_hint(PRODUCTS, _UNTIL_COMMIT, "mssql")
    .where(
        PRODUCTS.c.product_id == _ID,
        PRODUCTS.c.name_version == sa.bindparam("name_version", type_=sa.BigInteger),
        PRODUCTS.c.price_version == sa.bindparam("price_version", type_=sa.BigInteger),
    )
)
SAME_ORDER = Check(sa.select(ORDERS.c.order_id).with_hint(ORDERS, _UNTIL_COMMIT, "mssql").where(*at_version(ORDERS)))
INSERT_ORDER = insert(ORDERS)
UPDATE_ORDER = versioned_update(
    ORDERS,
    ORDERS.c.version,
    ORDERS.c.status,
    ORDERS.c.currency,
    ORDERS.c.total,
    ORDERS.c.lines_ever,
    ORDERS.c.cancel_reason,
    ORDERS.c.changed_at,
    ORDERS.c.payment_version,
    ORDERS.c.payment_status,
    ORDERS.c.payment_attempt,
    ORDERS.c.refunded,
    ORDERS.c.erased,
)
UPDATE_ADDRESS = Write(
    sa.update(ORDERS)
    .where(ORDERS.c.order_id == _ID)
    .values(by_name(ORDERS.c.street, ORDERS.c.city, ORDERS.c.postal_code, ORDERS.c.region, ORDERS.c.country))
)
_LINE = (
    ORDER_LINES.c.order_id == sa.bindparam("of_order", type_=sa.Uuid),
    ORDER_LINES.c.product_id == sa.bindparam("of_product", type_=sa.Uuid),
)
INSERT_LINES = insert(ORDER_LINES)
UPDATE_LINE = Write(
    sa.update(ORDER_LINES)
    .where(*_LINE)
    .values(
        by_name(
            ORDER_LINES.c.product_name, ORDER_LINES.c.product_version, ORDER_LINES.c.quantity, ORDER_LINES.c.unit_price
        )
    )
)
UPDATE_STOCK = Write(
    sa.update(ORDER_LINES)
    .where(*_LINE)
    .values(by_name(ORDER_LINES.c.stock_version, ORDER_LINES.c.reserved, ORDER_LINES.c.waiting, ORDER_LINES.c.shipped))
)
DELETE_LINE = Write(sa.delete(ORDER_LINES).where(*_LINE))


class Orders(Repository[Order]):
    """The orders, with the products and customers that they need."""

    noun, key = "order", "order_id"
    log, select, insert, update = LOG, LOAD, INSERT_ORDER, UPDATE_ORDER
    missing, taken = OrderNotFound, OrderAlreadyExists

    def load_with_product(self, order_id: UUID, product_id: UUID) -> tuple[Order, Product | None]:
        """Load an order and a product; the product is None if ordering does not know it.

        Raises:
            OrderNotFound, StaleVersion: as `load`.
        """
        rows = self._rows(order_id, LOAD_WITH_PRODUCT, {"id": order_id, "product": product_id})
        return self._aggregate(rows), self._products(rows[:1]).get(product_id)

    def load_offer(
        self, customer_id: UUID, product_ids: Collection[UUID], address_id: UUID | None = None
    ) -> tuple[Customer | None, dict[UUID, Product]]:
        """Load a customer and the known ones of these products; the customer is None if unknown, or not the caller.

        The customer has the address with this id, or else the default address.

        Committing raises LostRace if one of the names or prices has changed by then.
        """
        rows = self._work.read(
            LOAD_CUSTOMER_WITH_PRODUCTS, {"id": customer_id, "products": product_ids, "address": address_id}
        )
        products = self._products(rows)
        first = rows[0]
        if first.name is None or first.erasure or not self._metadata.reaches(customer_id):
            return None, products
        self._work.require(SAME_CUSTOMER, [{"id": customer_id, "name_version": first.name_version}])
        address = None if first.street is None else _address(first)
        return Customer(customer_id, first.name, first.name_version, address), products

    def rely_on(self, order: Order) -> None:
        """Let the commit raise LostRace if the order, which this unit decides by and does not save, has changed."""
        self._work.require(SAME_ORDER, [{"id": order.order_id, "loaded_version": order.loaded_version}])

    @override
    def _aggregate(self, rows: Sequence[sa.Row[Any]]) -> Order:
        order = _order(rows)
        self._known_lines: Collection[UUID] = order.lines.keys()
        return order

    @override
    def _may_access(self, row: sa.Row[Any]) -> bool:
        return self._metadata.reaches(row.customer_id)

    @override
    def _immutable_columns(self, order: Order) -> Mapping[str, Any]:
        return {
            "customer_id": order.customer_id,
            "created_at": self._metadata.at,
            **asdict(order.shipping_address),
        }

    @override
    def _mutable_columns(self, order: Order) -> Mapping[str, Any]:
        return {
            "status": order.status,
            "currency": order.currency,
            "total": order.total,
            "lines_ever": order.lines_ever,
            "cancel_reason": order.cancel_reason,
            **_payment_row(order.payment),
            "erased": order.erased,
        }

    @override
    def _insert_children(self, order: Order) -> None:
        self._insert_lines(order.order_id, order.lines.values())

    @override
    def _update_children(self, order: Order) -> None:
        for event in order.pending_events:
            match event:
                case OrderItemsAddedV1():
                    self._save_lines(order.order_id, event.lines)
                case OrderErasedV1():
                    row = {"id": order.order_id} | asdict(order.shipping_address)
                    self._work.write(UPDATE_ADDRESS, [row], must_find=True)
                case OrderItemRemovedV1():
                    line = {"of_order": order.order_id, "of_product": event.product_id}
                    self._work.write(DELETE_LINE, [line], must_find=True)
                case OrderShippingAddressChangedV1():
                    row = {"id": order.order_id} | asdict(event.shipping_address)
                    self._work.write(UPDATE_ADDRESS, [row], must_find=True)
                case OrderStockChangedV2():
                    row = {"of_order": order.order_id, "of_product": event.product_id, **_stock_row(event)}
                    self._work.write(UPDATE_STOCK, [row], must_find=True)
                case _:
                    pass  # the other events change the order's own row alone

    def _save_lines(self, order_id: UUID, lines: Collection[OrderLine]) -> None:
        self._insert_lines(order_id, [line for line in lines if line.product_id not in self._known_lines])
        known = [_known_line(order_id, line) for line in lines if line.product_id in self._known_lines]
        self._work.write(UPDATE_LINE, known, must_find=True)

    def _insert_lines(self, order_id: UUID, lines: Iterable[OrderLine]) -> None:
        self._work.write(INSERT_LINES, [_new_line(order_id, line) for line in lines])

    def _products(self, rows: Iterable[sa.Row[Any]]) -> dict[UUID, Product]:
        known = [row for row in rows if row.offer_id is not None]
        self._work.require(SAME_PRODUCT, [_as_read(row) for row in known])
        return {row.offer_id: _product(row) for row in known}


def _order(rows: Sequence[sa.Row[Any]]) -> Order:
    head = rows[0]
    order = Order()
    order.order_id = head.order_id
    order.customer_id = head.customer_id
    order.version = head.version
    order.status = OrderStatus(head.status)
    order.currency = head.currency
    order.total = head.total
    order.lines_ever = head.lines_ever
    order.cancel_reason = head.cancel_reason
    order.shipping_address = _address(head)
    if head.payment_status is not None:
        status = OrderPaymentStatus(head.payment_status)
        order.payment = OrderPayment(head.payment_version, status, head.payment_attempt, head.refunded)
    order.erased = head.erased
    order.lines = {
        row.product_id: OrderLine(
            number=row.number,
            product_id=row.product_id,
            product_name=row.product_name,
            product_version=row.product_version,
            quantity=row.quantity,
            unit_price=row.unit_price,
        )
        for row in rows
        if row.product_id is not None
    }
    order.stock = {
        row.product_id: LineStock(row.stock_version, row.reserved, row.waiting, row.shipped)
        for row in rows
        if row.product_id is not None and row.stock_version
    }
    return order


def _payment_row(payment: OrderPayment | None) -> dict[str, Any]:
    return {
        "payment_version": None if payment is None else payment.version,
        "payment_status": None if payment is None else payment.status,
        "payment_attempt": None if payment is None else payment.attempt,
        "refunded": None if payment is None else payment.refunded,
    }


def _address(row: sa.Row[Any]) -> Address:
    return Address(
        street=row.street, city=row.city, postal_code=row.postal_code, region=row.region, country=row.country
    )


def _product(row: sa.Row[Any]) -> Product:
    return Product(row.offer_id, row.offer_name, Money(row.offer_price, row.offer_currency), row.offer_version)


def _as_read(row: sa.Row[Any]) -> dict[str, Any]:
    return {"id": row.offer_id, "name_version": row.offer_version, "price_version": row.offer_price_version}


def _new_line(order_id: UUID, line: OrderLine) -> dict[str, Any]:
    row = {"order_id": order_id, "product_id": line.product_id, "number": line.number}
    return row | _line_row(line) | {"stock_version": 0, "reserved": 0, "waiting": 0, "shipped": 0}


def _known_line(order_id: UUID, line: OrderLine) -> dict[str, Any]:
    return {"of_order": order_id, "of_product": line.product_id} | _line_row(line)


def _line_row(line: OrderLine) -> dict[str, Any]:
    return {
        "product_name": line.product_name,
        "product_version": line.product_version,
        "quantity": line.quantity,
        "unit_price": line.unit_price,
    }


def _stock_row(event: OrderStockChangedV2) -> dict[str, Any]:
    return {
        "stock_version": event.stock_version,
        "reserved": event.reserved,
        "waiting": event.waiting,
        "shipped": event.shipped,
    }
