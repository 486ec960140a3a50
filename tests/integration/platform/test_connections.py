"""A unit of work on SQLite has one connection of the pool, for as long as it needs it, and lets others write soon."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from shared.customers.tables import ADDRESSES
from shared.frame.messaging.envelope import Metadata
from shared.frame.sql.engines import POOL_SIZE, POOL_TIMEOUT, sql_engine
from shared.frame.sql.reading import read_from
from shared.frame.sql.sqlite import BUSY_TIMEOUT, Session
from shared.frame.write_side.aggregate_queues import AggregateQueues
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.repository import LOAD, UPDATE_ADDRESS
from tests.support.shop import Shop


@pytest.fixture
def taken(shop: Shop) -> Iterator[list[Any]]:
    """Note each connection that is taken from the pool of ordering."""
    noted: list[Any] = []

    def note(connection: object, *_: object) -> None:
        noted.append(connection)

    sa.event.listen(shop.ordering_engine, "checkout", note)
    yield noted
    sa.event.remove(shop.ordering_engine, "checkout", note)


def in_use(shop: Shop) -> int:
    pool = shop.ordering_engine.pool
    assert isinstance(pool, sa.QueuePool)
    return pool.checkedout()


def test_a_command_reads_and_commits_on_one_connection(shop: Shop, taken: list[Any]) -> None:
    order_id = shop.order(shop.product())
    taken.clear()
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    assert len(taken) == 1
    assert in_use(shop) == 0


def test_who_stands_in_line_has_no_connection(shop: Shop) -> None:
    order_id, queues = shop.order(shop.product()), AggregateQueues()
    with UnitOfWork(shop.ordering_engine, queues=queues) as work:
        work.read(LOAD, {"id": order_id})
        assert in_use(shop) == 1
        work.stand_in_line(order_id)
        assert in_use(shop) == 0
        work.read(LOAD, {"id": order_id})
        assert in_use(shop) == 1
    assert in_use(shop) == 0


def test_a_database_file_that_was_replaced_is_not_used_any_more(tmp_path: Path) -> None:
    """SQLite would go on with the file that it has open, and what it writes would be gone with the process."""
    table = sa.Table("notes", sa.MetaData(schema="ordering"), sa.Column("note", sa.Unicode(10), primary_key=True))
    engines = [sql_engine(f"sqlite:///{tmp_path / name}", "ordering") for name in ("shop.db", "other.db")]
    for engine, note in zip(engines, ("old", "new"), strict=True):
        table.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(table), {"note": note})
    engine, other = engines
    other.dispose()
    (tmp_path / "other.ordering.db").replace(tmp_path / "shop.ordering.db")
    for left in ("wal", "shm"):
        (tmp_path / f"shop.ordering.db-{left}").unlink()
    with engine.begin() as connection:
        assert connection.execute(sa.select(table)).scalars().all() == ["new"]
    engine.dispose()


def test_a_commit_that_fails_gives_its_connection_back_and_lets_others_write(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    with UnitOfWork(shop.ordering_engine) as work:
        row = {"id": order_id, "street": None, "city": "", "postal_code": "", "region": None, "country": None}
        work.write(UPDATE_ADDRESS, [row])
        with pytest.raises(sa.exc.IntegrityError):
            work.commit()
        assert in_use(shop) == 0
        assert shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata()).version == 2


def test_who_finds_no_connection_is_refused_soon_and_makes_none(tmp_path: Path) -> None:
    engine = sql_engine(f"sqlite:///{tmp_path / 'shop.db'}", "ordering")
    with ExitStack() as taken:
        for _ in range(POOL_SIZE):
            taken.enter_context(engine.connect())
        began = time.monotonic()
        with pytest.raises(sa.exc.TimeoutError):
            engine.connect()
        assert time.monotonic() - began < 5 * POOL_TIMEOUT
    engine.dispose()


def test_who_has_written_lets_another_connection_write_at_once(tmp_path: Path) -> None:
    engine = sql_engine(f"sqlite:///{tmp_path / 'shop.db'}", "ordering")
    with engine.begin():
        pass
    began = time.monotonic()
    with engine.connect(), engine.begin():  # the connection that has written is taken to read
        assert time.monotonic() - began < BUSY_TIMEOUT
    engine.dispose()


def test_who_reads_does_not_wait_for_who_writes(tmp_path: Path) -> None:
    engine = sql_engine(f"sqlite:///{tmp_path / 'shop.db'}", "ordering")
    with engine.begin():
        assert read_from(engine, lambda connection: connection.execute(sa.text("SELECT 1")).scalar_one()) == 1
    engine.dispose()


def test_a_session_whose_transaction_failed_begins_another_one(tmp_path: Path) -> None:
    engine = sql_engine(f"sqlite:///{tmp_path / 'shop.db'}", "ordering")

    def fail(session: Session) -> None:
        with session.transaction() as cursor:
            cursor.execute("CREATE TABLE ordering.notes (note TEXT)")
            raise LookupError

    with closing(Session(engine)) as session:
        with pytest.raises(LookupError):
            fail(session)
        with session.transaction() as cursor:
            assert cursor.execute("SELECT name FROM ordering.sqlite_master").fetchall() == []
    engine.dispose()


def test_a_row_of_what_does_not_exist_is_refused_as_on_azure_sql(shop: Shop) -> None:
    row = {"customer_id": uuid4(), "address_id": uuid4(), "place": 1, "street": "s", "city": "c", "postal_code": "p"}
    with pytest.raises(sa.exc.IntegrityError, match="FOREIGN KEY"), shop.customers_engine.begin() as connection:
        connection.execute(sa.insert(ADDRESSES), row)
