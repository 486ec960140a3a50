"""How products and their stock are loaded and saved."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, override
from uuid import UUID

import sqlalchemy as sa

from shared.catalog.domain.errors import ProductAlreadyExists, ProductNotFound, StockNotKept
from shared.catalog.domain.product import Product
from shared.catalog.domain.stock import SERVED_AT_ONCE, Stock, stock_of
from shared.catalog.events import (
    OrderedStock,
    StockLevel,
    StockReceivedV1,
    StockRecountedV1,
)
from shared.catalog.tables import LOG, ORDERED_STOCK, PRODUCTS, STOCK
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.sql.columns import in_ids
from shared.frame.write_side.repository import Repository
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.frame.write_side.writes import Write, by_name, insert, versioned_update
from shared.kernel.money import Money

_ID = sa.bindparam("id", type_=sa.Uuid)

AWAITED_PRODUCTS = 10
"""Products of an order that ends whose waiting orders are served in the same change: each takes a request."""

LOAD = sa.select(PRODUCTS).where(PRODUCTS.c.product_id == _ID)
INSERT = insert(PRODUCTS)
UPDATE = versioned_update(PRODUCTS, PRODUCTS.c.version, PRODUCTS.c.name, PRODUCTS.c.unit_price, PRODUCTS.c.changed_at)

LOAD_STOCK = (
    sa.select(PRODUCTS.c.product_id.label("known_id"), STOCK)
    .select_from(PRODUCTS.outerjoin(STOCK, STOCK.c.product_id == PRODUCTS.c.product_id))
    .where(PRODUCTS.c.product_id == _ID)
)
_LINES = (
    sa.select(ORDERED_STOCK, STOCK.c.version)
    .select_from(ORDERED_STOCK.join(STOCK, STOCK.c.product_id == ORDERED_STOCK.c.product_id))
    .where(ORDERED_STOCK.c.product_id == _ID)
)
_LINE_COLUMNS = (
    ORDERED_STOCK.c.order_id,
    ORDERED_STOCK.c.submitted_at,
    ORDERED_STOCK.c.reserved.label("line_reserved"),
    ORDERED_STOCK.c.waiting.label("line_waiting"),
    ORDERED_STOCK.c.shipped,
)
_MOST = sa.bindparam("most", type_=sa.Integer)
_NONE: Any = sa.literal_column("0")  # SQLAlchemy would write one as a parameter for SQLite
WAITING = (
    _LINES.where(ORDERED_STOCK.c.waiting > sa.literal_column("0"))
    .order_by(ORDERED_STOCK.c.submitted_at, ORDERED_STOCK.c.order_id)
    .limit(_MOST)
    .offset(_NONE)
)
YOUNGEST = (
    _LINES.where(ORDERED_STOCK.c.reserved > sa.literal_column("0"))
    .order_by(ORDERED_STOCK.c.submitted_at.desc(), ORDERED_STOCK.c.order_id.desc())
    .limit(_MOST)
    .offset(_NONE)
)
STOCK_FOR_ORDER = (
    sa.select(STOCK, *_LINE_COLUMNS)
    .select_from(
        STOCK.outerjoin(
            ORDERED_STOCK,
            sa.and_(ORDERED_STOCK.c.product_id == STOCK.c.product_id, ORDERED_STOCK.c.order_id == _ID),
        )
    )
    .where(in_ids(STOCK.c.product_id, "products"))
    .order_by(STOCK.c.product_id)
)
STOCK_OF_ORDER = (
    sa.select(STOCK, *_LINE_COLUMNS)
    .select_from(STOCK.join(ORDERED_STOCK, ORDERED_STOCK.c.product_id == STOCK.c.product_id))
    .where(ORDERED_STOCK.c.order_id == _ID)
    .order_by(STOCK.c.product_id)
)
INSERT_STOCK = insert(STOCK)
UPDATE_STOCK = versioned_update(
    STOCK, STOCK.c.version, STOCK.c.on_hand, STOCK.c.reserved, STOCK.c.waiting, STOCK.c.changed_at
)
INSERT_LINES = insert(ORDERED_STOCK)
UPDATE_LINES = Write(
    sa.update(ORDERED_STOCK)
    .where(
        ORDERED_STOCK.c.product_id == sa.bindparam("of_product", type_=sa.Uuid),
        ORDERED_STOCK.c.order_id == sa.bindparam("of_order", type_=sa.Uuid),
    )
    .values(by_name(ORDERED_STOCK.c.reserved, ORDERED_STOCK.c.waiting, ORDERED_STOCK.c.shipped))
)


class Products(Repository[Product]):
    """The products."""

    noun, key = "product", "product_id"
    log, select, insert, update = LOG, LOAD, INSERT, UPDATE
    missing, taken = ProductNotFound, ProductAlreadyExists

    @override
    def _aggregate(self, rows: Sequence[sa.Row[Any]]) -> Product:
        [row] = rows
        product = Product()
        product.product_id, product.version, product.name = row.product_id, row.version, row.name
        product.description, product.category = row.description, row.category
        product.price = Money(row.unit_price, row.currency)
        return product

    @override
    def _immutable_columns(self, product: Product) -> Mapping[str, Any]:
        return {
            "description": product.description,
            "currency": product.price.currency,
            "category": product.category,
        }

    @override
    def _mutable_columns(self, product: Product) -> Mapping[str, Any]:
        return {"name": product.name, "unit_price": product.price.amount}


class Stocks(Repository[Stock]):
    """The stock of products, each with the orders that the command needs."""

    noun, key = "stock", "stock_id"
    log, select, insert, update = LOG, LOAD_STOCK, INSERT_STOCK, UPDATE_STOCK
    missing, taken = ProductNotFound, LostRace

    def __init__(self, work: UnitOfWork, metadata: Metadata) -> None:
        super().__init__(work, metadata)
        self._known: set[tuple[UUID, UUID]] = set()

    @override
    def load(self, id_: UUID) -> Stock:
        """Load the stock of a product, with the waiting orders.

        Raises:
            ProductNotFound: there is no such product.
            StockNotKept: the product's stock is not kept.
            StaleVersion: the stock is not at the version that the caller expects.
        """
        stock = self.load_or_begin(id_)
        if stock.version == 0:
            raise StockNotKept(f"The stock of product {id_} is not kept; it begins with what is received.")
        return stock

    def load_or_begin(self, product_id: UUID) -> Stock:
        """Load it, or make a new stock if none is kept. Raises as `load` does."""
        self._work.stand_in_line(stock_of(product_id))
        rows = self._work.read(LOAD_STOCK, {"id": product_id})
        if not rows:
            raise ProductNotFound(f"There is no product {product_id}.")
        if rows[0].stock_id is None:
            return Stock.of(product_id)
        self._expect(stock_of(product_id), rows[0].version)
        stock = _stock(rows[0])
        if stock.level.waiting:
            self._add_lines(stock, WAITING, SERVED_AT_ONCE)
        return stock

    def load_for_recount(self, product_id: UUID, counted: int) -> Stock:
        """Load it, with the youngest reservations too if fewer pieces were counted than are reserved.

        Raises:
            LostRace: the stock has changed between the two reads; a refusal would be final, and could be false.
        """
        stock = self.load(product_id)
        if counted < stock.level.reserved and not self._add_lines(stock, YOUNGEST, SERVED_AT_ONCE):
            raise LostRace
        return stock

    def load_for_order(self, order_id: UUID, product_ids: Collection[UUID]) -> dict[UUID, Stock]:
        """Load the stock of the products whose stock is kept, each with the order's line.

        They come in the order of their ids, so that the writes for two orders take their locks in the same order.
        """
        self._work.stand_in_line(*map(stock_of, product_ids))
        return self._with_lines(self._work.read(STOCK_FOR_ORDER, {"id": order_id, "products": product_ids}))

    def load_of_order(self, order_id: UUID) -> dict[UUID, Stock]:
        """Load the stock of an order's products, with orders that wait for the order's pieces: those of a few products.

        There are SERVED_AT_ONCE of them at most, whatever the number of products; the timer serves the others.
        """
        ordered = self._work.read(STOCK_OF_ORDER, {"id": order_id})
        if not ordered:
            return {}
        self._work.stand_in_line(*(row.stock_id for row in ordered))
        stocks = self._with_lines(self._work.read(STOCK_OF_ORDER, {"id": order_id}))
        left = SERVED_AT_ONCE
        awaited = [stock for stock in stocks.values() if stock.level.waiting and stock.lines[order_id].reserved]
        for stock in awaited[:AWAITED_PRODUCTS]:
            left -= self._add_lines(stock, WAITING, left)
        return stocks

    def _with_lines(self, rows: Sequence[sa.Row[Any]]) -> dict[UUID, Stock]:
        stocks = {}
        for row in rows:
            stock = stocks[row.product_id] = _stock(row)
            if row.order_id is not None:
                stock.lines[row.order_id] = OrderedStock(
                    row.order_id, row.submitted_at, row.line_reserved, row.line_waiting, row.shipped
                )
                self._known.add((row.product_id, row.order_id))
        return stocks

    def save_first(self, stock: Stock) -> Accepted:
        """Save the stock whose version the caller may have named, before the others."""
        self._expect(stock.stock_id, stock.loaded_version)
        return self.save(stock)

    def save_all(self, stocks: Iterable[Stock]) -> None:
        """Save those that have changed, in the order of their ids."""
        for stock in sorted(stocks, key=lambda stock: stock.product_id):
            if stock.pending_events:
                self.save(stock)

    def _add_lines(self, stock: Stock, statement: sa.Select[Any], most: int) -> int:
        """Add orders to a stock, and tell how many there were.

        Raises:
            LostRace: the stock has changed since it was read.
        """
        rows = self._work.read(statement, {"id": stock.product_id, "most": most}) if most else ()
        if rows and rows[0].version != stock.version:
            raise LostRace
        for row in rows:
            stock.lines[row.order_id] = OrderedStock(
                row.order_id, row.submitted_at, row.reserved, row.waiting, row.shipped
            )
            self._known.add((stock.product_id, row.order_id))
        return len(rows)

    @override
    def _aggregate(self, rows: Sequence[sa.Row[Any]]) -> Stock:
        return _stock(rows[0])

    @override
    def _immutable_columns(self, stock: Stock) -> Mapping[str, Any]:
        return {"product_id": stock.product_id}

    @override
    def _mutable_columns(self, stock: Stock) -> Mapping[str, Any]:
        return asdict(stock.level)

    @override
    def _insert_children(self, stock: Stock) -> None:
        """Write no more rows: a new stock has no orders yet."""

    @override
    def _update_children(self, stock: Stock) -> None:
        changed = {
            event.line.order_id: stock.lines[event.line.order_id]
            for event in stock.pending_events
            if not isinstance(event, StockReceivedV1 | StockRecountedV1)
        }
        new = [line for order_id, line in changed.items() if (stock.product_id, order_id) not in self._known]
        known = [line for order_id, line in changed.items() if (stock.product_id, order_id) in self._known]
        self._work.write(INSERT_LINES, [{"product_id": stock.product_id, **asdict(line)} for line in new])
        self._work.write(UPDATE_LINES, [_changed(stock.product_id, line) for line in known], must_find=True)


def _stock(row: sa.Row[Any]) -> Stock:
    stock = Stock.of(row.product_id)
    stock.version = row.version
    stock.level = StockLevel(row.on_hand, row.reserved, row.waiting)
    return stock


def _changed(product_id: UUID, line: OrderedStock) -> dict[str, Any]:
    return {
        "of_product": product_id,
        "of_order": line.order_id,
        "reserved": line.reserved,
        "waiting": line.waiting,
        "shipped": line.shipped,
    }
