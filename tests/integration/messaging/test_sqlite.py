"""A SELECT that goes to SQLite's driver past SQLAlchemy gives what SQLAlchemy's execution gives."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from shared.catalog import repository as catalog
from shared.customers import repository as customers
from shared.frame.messaging.envelope import Metadata
from shared.frame.sql.errors import is_transient
from shared.frame.sql.reading import rows_of
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.repository import LOAD, LOAD_CUSTOMER_WITH_PRODUCTS, LOAD_WITH_PRODUCT
from shared.ordering.tables import LOG, ORDERS
from tests.support.database import needs_sqlite
from tests.support.shop import Shop, running_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with running_shop(tmp_path) as shop:
        yield shop


def agree(engine: sa.Engine, statement: sa.Select[Any], parameters: dict[str, Any]) -> None:
    with engine.connect().execution_options(reads_only=True) as connection:
        executed = connection.execute(statement, parameters).all()
    with UnitOfWork(engine) as work:
        read = work.read(statement, parameters)
    for rows in (read, rows_of(engine, statement, parameters)):
        assert [row._asdict() for row in rows] == [row._asdict() for row in executed]
        assert [[type(value) for value in row] for row in rows] == [[type(value) for value in row] for row in executed]


def in_use(engine: sa.Engine) -> int:
    """How many connections were taken from the pool and not given back."""
    assert isinstance(engine.pool, sa.QueuePool)
    return engine.pool.checkedout()


def test_a_read_gives_the_rows_that_sqlalchemy_gives(shop: Shop) -> None:
    customer, tea, mug = shop.customer(), shop.product(), shop.product("0.01", name="日本茶 ☕")
    order, unknown = shop.order(tea, mug, customer_id=customer), uuid4()
    cancel = CancelOrder(order_id=order, reason="O'Brien")
    shop.ordering.run(cancel_order, cancel, Metadata("the key", bytes(range(32))))
    for id_ in (order, shop.order(customer_id=customer), unknown):
        agree(shop.ordering_engine, LOAD, {"id": id_})
        agree(shop.ordering_engine, LOAD_WITH_PRODUCT, {"id": id_, "product": mug})
        agree(shop.ordering_engine, LOAD_WITH_PRODUCT, {"id": id_, "product": unknown})
    for offered in ([tea, mug], [unknown], []):
        agree(shop.ordering_engine, LOAD_CUSTOMER_WITH_PRODUCTS, {"id": customer, "products": offered, "address": None})
        agree(shop.ordering_engine, LOAD_CUSTOMER_WITH_PRODUCTS, {"id": unknown, "products": offered, "address": None})
    agree(shop.catalog_engine, catalog.LOAD, {"id": tea})
    agree(shop.customers_engine, customers.LOAD, {"id": customer})
    agree(shop.ordering_engine, LOG.statements.history, {"id": order, "after": 0, "until": 2})
    for key in ("the key", "another"):
        agree(shop.ordering_engine, *LOG.first_of(key, "anonymous"))


@needs_sqlite("drops a table, which on a server belongs to all tests")
def test_an_error_of_a_read_is_one_that_retries_know(shop: Shop) -> None:
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.schema.DropTable(ORDERS))
    with UnitOfWork(shop.ordering_engine) as work, pytest.raises(sa.exc.OperationalError) as raised:
        work.read(LOAD, {"id": uuid4()})
    assert "no such table" in str(raised.value.orig)
    with pytest.raises(sa.exc.OperationalError, match="no such table") as kept:  # and with it, what was in its reach
        rows_of(shop.ordering_engine, LOAD, {"id": uuid4()})
    assert in_use(shop.ordering_engine) == 0, kept
    assert not is_transient(raised.value)
