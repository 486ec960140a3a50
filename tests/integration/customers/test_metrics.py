"""What operators are told of erasures turns when one is late, and turns back."""

from datetime import UTC, datetime, timedelta
from unittest import mock
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.customers import tables as customers
from shared.customers.commands.erase_customer import Erasures
from shared.customers.jobs import erase_customers
from shared.customers.metrics import OVERDUE
from shared.frame.write_side.owner_data import OwnerData
from shared.ordering import tables as ordering
from shared.ordering.finding import has_open_orders, next_orders_of, streams_of
from shared.ordering.metrics import UNERASED
from tests.support.erasing import (
    ask,
    cancel,
    erase,
    keep_appointments,
    of_a_newer_release,
    open_order_at_hers,
    order_at_hers,
    register,
    tick,
)
from tests.support.jobs import do
from tests.support.shop import Shop, rows
from tests.support.telemetry import observing


def test_an_erasure_whose_time_has_passed_is_told_of_unless_an_open_order_holds_it_up(shop: Shop) -> None:
    held = OwnerData("ordering", ordering.LOG, shop.ordering_engine, next_orders_of, streams_of, has_open_orders)
    late, now = Erasures([held], -timedelta(hours=2)), Erasures([held], timedelta())

    def overdue() -> float:
        with observing() as observed:
            keep_appointments(shop, late)
            [point] = observed.points(OVERDUE.name)
        assert point.attributes == {"tandem.context": "customers"}
        return float(point.value)  # type: ignore[union-attr]  # it is a gauge

    assert overdue() == 0
    stuck, due, busy = (register(shop, email, email) for email in ("a@b.example", "c@d.example", "e@f.example"))
    ask(shop, late, stuck)
    ask(shop, now, due)
    ask(shop, late, busy)
    open_order_at_hers(shop, busy)
    engine, log = shop.customers_engine, customers.LOG
    with of_a_newer_release(engine, log, stuck), of_a_newer_release(engine, log, due):
        assert overdue() == 1
    assert overdue() == 0
    erased = {row["customer_id"]: row["erased"] for row in rows(shop.customers_engine, customers.CUSTOMERS)}
    assert erased == {stuck: True, due: True, busy: False}


@pytest.mark.parametrize("statement", [3.0, 25.0])
def test_those_whom_open_orders_hold_up_do_not_hide_who_is_overdue(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, statement: float
) -> None:
    now = [0.0]

    def takes_long(connection: sa.Connection, customer_id: UUID) -> bool:
        now[0] += statement
        return has_open_orders(connection, customer_id)

    held = OwnerData("ordering", ordering.LOG, shop.ordering_engine, next_orders_of, streams_of, takes_long)
    late = Erasures([held], -timedelta(hours=2))
    *busy, stuck = sorted(register(shop, email, email) for email in ("a@b.example", "c@d.example", "e@f.example"))
    for customer_id in (*busy, stuck):
        ask(shop, late, customer_id)
    for customer_id in busy:
        open_order_at_hers(shop, customer_id)
    monkeypatch.setattr(erase_customers, "time", mock.Mock(monotonic=lambda: now[0]))
    with of_a_newer_release(shop.customers_engine, customers.LOG, stuck), observing() as observed:
        keep_appointments(shop, late)
        [point] = observed.points(OVERDUE.name)
    assert point.value == 1  # type: ignore[union-attr]  # it is a gauge


def put_back(shop: Shop, column: sa.Column[datetime], age: timedelta = timedelta(days=99)) -> None:
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.update(column.table).values({column.name: datetime.now(UTC) - age}))


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "draft"])
async def test_an_order_that_is_not_erased_is_told_of_after_an_hour(
    shop: Shop, erasures: Erasures, *, closed: bool
) -> None:
    context = shop.wired()["ordering"]

    async def told(later: timedelta = timedelta()) -> float:
        with observing() as observed, mock.patch("shared.ordering.metrics.datetime") as clock:
            clock.now.return_value = datetime.now(UTC) + later
            await do(context, "ordering figures")
            [point] = observed.points(UNERASED.name)
        return float(point.value)  # type: ignore[union-attr]  # it is a gauge

    stuck, waiting = register(shop), register(shop, "other", "other@example.org")
    order_id = order_at_hers(shop, stuck)
    if closed:
        cancel(shop, order_id)
    for customer_id in (stuck, waiting):
        erase(shop, erasures, customer_id)
    open_order_at_hers(shop, waiting)  # ordering has not heard of it yet
    assert await told(timedelta(hours=2)) == 0, "nobody has told ordering"
    for customer_id in (stuck, waiting):
        shop.follow_customer(customer_id)
    soon, late = timedelta(minutes=59), timedelta(minutes=61)
    with of_a_newer_release(shop.ordering_engine, ordering.LOG, order_id):
        tick(shop)
        assert (await told(soon), await told(late)) == (0, 1)
        put_back(shop, ordering.ORDERS.c.changed_at)
        assert (await told(soon), await told(late)) == (0, 1), "the erasure has just begun"
        put_back(shop, ordering.CUSTOMERS.c.erasing_since)
        assert await told() == 1
        put_back(shop, ordering.ORDERS.c.changed_at, timedelta())
        assert (await told(soon), await told(late)) == (0, 1), "the order was just closed"
    tick(shop)
    assert await told(late) == 0
