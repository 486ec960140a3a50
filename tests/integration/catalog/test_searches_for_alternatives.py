"""What searches for alternatives read does not grow with a product's purchases, nor with its category."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.catalog.purchases import BOUGHT_TOGETHER, LOOKED_AT, OF_THE_SAME_CATEGORY
from shared.catalog.tables import PRODUCTS, PURCHASES
from shared.frame.sql.sqlite import question, sqlite_cursor
from tests.support.database import needs_sqlite
from tests.support.shop import Shop

pytestmark = needs_sqlite("counts the steps that SQLite makes")

FEW, MANY = 500, 5_000
TEA, CUP = uuid4(), uuid4()
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def have(shop: Shop, table: sa.Table, rows: list[Mapping[str, object]]) -> None:
    with shop.catalog_engine.begin() as connection:
        connection.execute(sa.insert(table), rows)


def bought_together(shop: Shop, orders: range, other: UUID) -> None:
    """Have a minute's order of tea and something else for each number."""
    have(
        shop,
        PURCHASES,
        [
            {"purchase_id": uuid4(), "product_id": product_id, "order_id": UUID(int=number + 1), "at": at}
            for number in orders
            for at in [BEGIN + timedelta(minutes=number)]
            for product_id in (TEA, other)
        ],
    )


def in_category(shop: Shop, *ids: UUID) -> None:
    same = {"name": "Tea", "description": "", "currency": "EUR", "category": "Kitchen"}
    have(
        shop,
        PRODUCTS,
        [{"product_id": id_, "version": 1, "unit_price": Decimal(1), "changed_at": BEGIN} | same for id_ in ids],
    )


def searched(shop: Shop, statement: sa.Select[Any]) -> tuple[list[UUID], int]:
    """Give what a search finds, and how many steps SQLite's machine takes for it."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    with shop.catalog_engine.connect() as connection:
        cursor = sqlite_cursor(connection)
        cursor.connection.set_progress_handler(step, 1)
        rows = question(statement).rows(cursor, {"id": TEA, "most": LOOKED_AT})
        cursor.connection.set_progress_handler(None, 1)
    return [row.product_id for row in rows], steps


def test_of_a_products_purchases_the_latest_alone_are_read(shop: Shop) -> None:
    old = uuid4()
    bought_together(shop, range(FEW - LOOKED_AT), old)
    bought_together(shop, range(FEW - LOOKED_AT, FEW), CUP)
    found, steps = searched(shop, BOUGHT_TOGETHER)
    assert found == [CUP]
    bought_together(shop, range(FEW, MANY), CUP)
    found, of_many = searched(shop, BOUGHT_TOGETHER)
    assert found == [CUP]
    assert of_many == pytest.approx(steps, rel=0.01)


def test_of_a_category_its_first_products_alone_are_read(shop: Shop) -> None:
    in_category(shop, TEA, *(UUID(int=number) for number in range(1, FEW)))
    found, steps = searched(shop, OF_THE_SAME_CATEGORY)
    assert found == [UUID(int=number) for number in range(1, LOOKED_AT + 1)]
    in_category(shop, *(UUID(int=number) for number in range(FEW, MANY)))
    again, of_many = searched(shop, OF_THE_SAME_CATEGORY)
    assert again == found
    assert of_many == pytest.approx(steps, rel=0.01)
