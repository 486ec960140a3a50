"""Whatever goes wrong, an erasure goes on where it ended, and holds up no other."""

from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from unittest import mock
from uuid import UUID

import pytest
import sqlalchemy as sa

from infra.sql.migrate import migrate
from shared.customers import tables as customers
from shared.customers.commands.erase_customer import Erasures
from shared.frame.sql import compaction
from shared.frame.sql.errors import OutOfTime
from shared.frame.write_side.owner_data import OwnerData
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering import tables as ordering
from shared.ordering.finding import next_orders_of, streams_of
from shared.ordering.jobs import erase_orders as erasing
from tests.support.commands import database_away, told_in_one_line
from tests.support.database import needs_sqlite
from tests.support.erasing import (
    NAME,
    OWN,
    STREET,
    ask,
    cancel,
    erase,
    everything,
    keep_appointments,
    left,
    of_a_newer_release,
    order_at_hers,
    register,
    tick,
)
from tests.support.shop import Shop, rows, shop_at


def test_an_order_that_cannot_be_erased_does_not_stop_the_others(
    shop: Shop, erasures: Erasures, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = sorted((register(shop), register(shop, "other", "other@example.org")))
    orders = {each: order_at_hers(shop, each) for each in (first, second)}
    for customer_id, order_id in orders.items():
        cancel(shop, order_id)
        erase(shop, erasures, customer_id)
        shop.follow_customer(customer_id)
    with of_a_newer_release(shop.ordering_engine, ordering.LOG, orders[first]):
        tick(shop)
        tick(shop)
        erased = {row["customer_id"]: row["erasure"] for row in rows(shop.ordering_engine, ordering.CUSTOMERS)}
        assert erased == {first: 1, second: 2}
    assert f"order {orders[first]} was not erased" in caplog.text
    assert left(caplog.text) == []
    tick(shop)
    tick(shop)
    assert left(everything(shop)) == []


def test_a_customer_who_cannot_be_erased_does_not_stop_the_others(
    shop: Shop, erasures: Erasures, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = sorted((register(shop), register(shop, "other", "other@example.org")))
    for customer_id in (first, second):
        ask(shop, erasures, customer_id)
    with of_a_newer_release(shop.customers_engine, customers.LOG, first):
        keep_appointments(shop, erasures)
        erased = {row["customer_id"]: row["erased"] for row in rows(shop.customers_engine, customers.CUSTOMERS)}
        assert erased == {first: False, second: True}
    assert f"customer {first} was not erased" in caplog.text
    assert left(caplog.text) == []
    keep_appointments(shop, erasures)
    assert {row["name"] for row in rows(shop.customers_engine, customers.CUSTOMERS)} == {"erased"}


def test_what_is_not_erased_for_an_outage_is_told_without_tracebacks(
    shop: Shop, erasures: Erasures, caplog: pytest.LogCaptureFixture
) -> None:
    customer_id = register(shop)
    order_id = order_at_hers(shop, customer_id)
    cancel(shop, order_id)
    ask(shop, erasures, customer_id)
    with database_away():
        keep_appointments(shop, erasures)
    assert told_in_one_line(caplog, f"customer {customer_id} was not erased")
    keep_appointments(shop, erasures)
    shop.follow_customer(customer_id)
    with database_away(), pytest.raises(OutOfTime):  # which it meets again where it deletes snapshots
        tick(shop)
    assert told_in_one_line(caplog, f"order {order_id} was not erased")
    tick(shop)
    tick(shop)
    assert left(everything(shop)) == []


@needs_sqlite("a server has no file to compact")
def test_a_context_that_does_not_answer_does_not_keep_the_erased_in_the_file(shop: Shop) -> None:
    erased, unknown = register(shop, "a", "a@b.example"), register(shop, "b", "b@c.example")

    def busy(_connection: sa.Connection, customer_id: UUID) -> bool:
        if asked and customer_id == unknown:
            raise ConnectionError
        return False

    asked = False
    held = OwnerData("ordering", ordering.LOG, shop.ordering_engine, next_orders_of, streams_of, busy)
    late = Erasures([held], -timedelta(hours=2))
    for customer_id in (erased, unknown):
        ask(shop, late, customer_id)
    asked = True
    with mock.patch.object(compaction, "compact", wraps=compaction.compact) as compact, pytest.raises(ConnectionError):
        keep_appointments(shop, late)
    compact.assert_called_once()
    assert {row["customer_id"] for row in rows(shop.customers_engine, customers.CUSTOMERS) if row["erased"]} == {erased}


def dying_after_a_commit() -> AbstractContextManager[object]:
    """Let the process end right behind a commit."""
    real = UnitOfWork.commit

    def commit(work: UnitOfWork) -> None:
        real(work)
        raise KeyboardInterrupt

    return mock.patch.object(UnitOfWork, "commit", commit)


def test_an_erasure_that_ends_anywhere_goes_on_where_it_ended(shop: Shop, erasures: Erasures) -> None:
    customer_id = register(shop)
    made = [order_at_hers(shop, customer_id) for _ in range(7)]
    for order_id in made:
        cancel(shop, order_id)
    erase(shop, erasures, customer_id)
    shop.follow_customer(customer_id)
    for done in range(1, 8):
        with dying_after_a_commit(), pytest.raises(KeyboardInterrupt):
            tick(shop)
        assert [row["erased"] for row in rows(shop.ordering_engine, ordering.ORDERS)].count(True) == done
    tick(shop)
    assert left(everything(shop)) == []
    assert {row["version"] for row in rows(shop.ordering_engine, ordering.ORDERS)} == {3}


def test_nothing_is_left_in_a_file_if_the_process_died_after_the_commit(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    migrate(url)
    with shop_at(url) as shop:
        customer_id, erasures = register(shop), Erasures([], timedelta())
        ask(shop, erasures, customer_id)
        with dying_after_a_commit(), pytest.raises(KeyboardInterrupt):
            keep_appointments(shop, erasures)
        files = [file for file in tmp_path.iterdir() if file.name.startswith("shop.customers")]
        assert any(NAME.encode() in file.read_bytes() for file in files)
        keep_appointments(shop, Erasures([], timedelta()))
        assert [word for word in OWN for file in files if word.encode() in file.read_bytes()] == []


def test_a_tick_ends_when_its_time_is_over(shop: Shop, erasures: Erasures, monkeypatch: pytest.MonkeyPatch) -> None:
    customer_id = register(shop)
    cancel(shop, order_at_hers(shop, customer_id))
    erase(shop, erasures, customer_id)
    shop.follow_customer(customer_id)
    monkeypatch.setattr(erasing, "WORKS_FOR", -1.0)
    tick(shop)
    assert STREET in repr(rows(shop.ordering_engine, ordering.ORDERS))
    monkeypatch.undo()
    tick(shop)
    assert STREET not in repr(rows(shop.ordering_engine, ordering.ORDERS))
