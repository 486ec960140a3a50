"""Ordering's own copy of products and customers, as tables; each value is guarded by the version of its event.

So late and repeated events change nothing. The orders that show a name are found here too: an order that took the old
name is committed before the copy changes, or has taken the new one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.ordering.tables import CUSTOMERS, ORDER_LINES, ORDERS, PRODUCTS

_ID = sa.bindparam("id", type_=sa.Uuid)
_VERSION = sa.bindparam("event_version", type_=sa.BigInteger)
_NEXT_PAGE = (ORDERS.c.order_id > sa.bindparam("after", type_=sa.Uuid),)
PAGE = 500

INSERT_PRODUCT = sa.insert(PRODUCTS)
INSERT_CUSTOMER = sa.insert(CUSTOMERS)
RENAME_PRODUCT = (
    sa.update(PRODUCTS)
    .where(PRODUCTS.c.product_id == _ID, PRODUCTS.c.name_version < _VERSION)
    .values(name=sa.bindparam("new_name", type_=PRODUCTS.c.name.type), name_version=_VERSION)
)
CHANGE_PRICE = (
    sa.update(PRODUCTS)
    .where(PRODUCTS.c.product_id == _ID, PRODUCTS.c.price_version < _VERSION)
    .values(unit_price=sa.bindparam("new_price", type_=PRODUCTS.c.unit_price.type), price_version=_VERSION)
)
RENAME_CUSTOMER = (
    sa.update(CUSTOMERS)
    .where(CUSTOMERS.c.customer_id == _ID, CUSTOMERS.c.name_version < _VERSION)
    .values(name=sa.bindparam("new_name", type_=CUSTOMERS.c.name.type), name_version=_VERSION)
)
FIND_PRODUCT = sa.select(PRODUCTS.c.product_id).where(PRODUCTS.c.product_id == _ID)
FIND_CUSTOMER = sa.select(CUSTOMERS.c.customer_id).where(CUSTOMERS.c.customer_id == _ID)
ORDERS_WITH_PRODUCT = (
    sa.select(ORDERS.c.order_id, ORDERS.c.customer_id, ORDERS.c.version)
    .select_from(ORDERS.join(ORDER_LINES))
    .where(ORDER_LINES.c.product_id == _ID, ORDER_LINES.c.product_version < _VERSION, *_NEXT_PAGE)
    .order_by(ORDERS.c.order_id)
    .limit(PAGE)
)
ORDERS_OF_CUSTOMER = (
    sa.select(ORDERS.c.order_id, ORDERS.c.customer_id, ORDERS.c.version)
    .where(ORDERS.c.customer_id == _ID, *_NEXT_PAGE)
    .order_by(ORDERS.c.order_id)
    .limit(PAGE)
)


class NotCopiedYet(Exception):
    """An event about something whose first event has not arrived; the delivery is repeated until it has."""


@dataclass(frozen=True, slots=True)
class OrderToCorrect:
    """An order that may show an old name, and the version that its document must have to show all its items."""

    order_id: UUID
    customer_id: UUID
    version: int


class Copies:
    """The copies, within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add_product(self, product_id: UUID, name: str, unit_price: Decimal, currency: str, version: int) -> None:
        """Copy a new product."""
        row = {"product_id": product_id, "name": name, "unit_price": unit_price, "currency": currency}
        self._connection.execute(INSERT_PRODUCT, row | {"name_version": version, "price_version": version})

    def rename_product(self, product_id: UUID, name: str, version: int) -> None:
        """Take over a product's new name; NotCopiedYet if the product is unknown."""
        self._update(RENAME_PRODUCT, FIND_PRODUCT, product_id, version, new_name=name)

    def change_price(self, product_id: UUID, unit_price: Decimal, version: int) -> None:
        """Take over a product's new price; NotCopiedYet if the product is unknown."""
        self._update(CHANGE_PRICE, FIND_PRODUCT, product_id, version, new_price=unit_price)

    def add_customer(self, customer_id: UUID, name: str, version: int) -> None:
        """Copy a new customer."""
        self._connection.execute(INSERT_CUSTOMER, {"customer_id": customer_id, "name": name, "name_version": version})

    def rename_customer(self, customer_id: UUID, name: str, version: int) -> None:
        """Take over a customer's new name; NotCopiedYet if the customer is unknown."""
        self._update(RENAME_CUSTOMER, FIND_CUSTOMER, customer_id, version, new_name=name)

    def orders_with_product(self, product_id: UUID, before_version: int) -> Iterator[OrderToCorrect]:
        """Find the orders whose line took the product's name from a version before this one."""
        return self._pages(ORDERS_WITH_PRODUCT, {"id": product_id, "event_version": before_version})

    def orders_of_customer(self, customer_id: UUID) -> Iterator[OrderToCorrect]:
        """Find all orders of a customer."""
        return self._pages(ORDERS_OF_CUSTOMER, {"id": customer_id})

    def _update(self, update: sa.Update, find: sa.Select[Any], id_: UUID, version: int, **values: object) -> None:
        changed = self._connection.execute(update, {"id": id_, "event_version": version} | values).rowcount
        if not changed and self._connection.execute(find, {"id": id_}).first() is None:
            raise NotCopiedYet(id_)

    def _pages(self, statement: sa.Select[Any], parameters: dict[str, object]) -> Iterator[OrderToCorrect]:
        after = UUID(int=0)
        while rows := self._connection.execute(statement, parameters | {"after": after}).all():
            yield from (OrderToCorrect(*row) for row in rows)
            after = rows[-1].order_id
