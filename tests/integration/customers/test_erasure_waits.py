"""An erasure waits for its time, in which it can be withdrawn, and for the customer's open orders."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.customers import tables as customers
from shared.customers.commands.erase_customer import Erasures, WithdrawErasure, withdraw_erasure
from shared.customers.domain.errors import ErasureAsked, ErasureNotAsked, OrdersAreOpen
from shared.customers.jobs import erase_customers
from shared.customers.repository import due_erasures
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.sql import reading
from shared.kernel.refusals import Invalid
from shared.ordering import tables as ordering
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.fulfilment.repository import Fulfilments
from shared.ordering.jobs import erase_orders as erasing
from shared.ordering.repository import Orders
from tests.support.erasing import (
    NAME,
    STREET,
    ask,
    cancel,
    erase,
    everything,
    keep_appointments,
    left,
    open_order_at_hers,
    order_at_hers,
    register,
    tick,
)
from tests.support.shop import Shop, rows


def test_an_erasure_is_refused_while_an_order_is_open_and_kept_when_it_is_done(shop: Shop, erasures: Erasures) -> None:
    customer_id = register(shop)
    order_id = open_order_at_hers(shop, customer_id)
    with pytest.raises(OrdersAreOpen):
        ask(shop, erasures, customer_id)
    cancel(shop, order_id)
    ask(shop, erasures, customer_id)
    between = open_order_at_hers(shop, customer_id)  # before the appointment is kept
    keep_appointments(shop, erasures)
    assert NAME in repr(rows(shop.customers_engine, customers.CUSTOMERS))
    cancel(shop, between)
    keep_appointments(shop, erasures)
    assert NAME not in repr(rows(shop.customers_engine, customers.CUSTOMERS))


def test_an_erasure_can_be_withdrawn_until_its_time_has_come(shop: Shop) -> None:
    customer_id, erasures = register(shop), Erasures([], timedelta(days=3))
    erase(shop, erasures, customer_id)
    with pytest.raises(ErasureAsked):
        ask(shop, erasures, customer_id)
    shop.customers.run(withdraw_erasure, WithdrawErasure(customer_id=customer_id), Metadata())
    with pytest.raises(ErasureNotAsked):
        shop.customers.run(withdraw_erasure, WithdrawErasure(customer_id=customer_id), Metadata())
    assert rows(shop.customers_engine, customers.CUSTOMERS)[0]["name"] == NAME
    ask(shop, erasures, customer_id)
    with mock.patch("shared.customers.jobs.erase_customers.datetime") as clock:
        clock.now.return_value = datetime.now(UTC) + timedelta(days=4)
        keep_appointments(shop, erasures)
    assert rows(shop.customers_engine, customers.CUSTOMERS)[0]["name"] == "erased"


def test_an_erasure_that_is_withdrawn_and_asked_for_anew_under_a_tick_waits_for_its_new_time(
    shop: Shop, erasures: Erasures, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    customer_id, patient = register(shop), Erasures([], timedelta(days=3))
    ask(shop, erasures, customer_id)

    def found_before(reader: sa.Engine, now: datetime) -> Iterator[UUID]:
        for each in due_erasures(reader, now):
            shop.customers.run(withdraw_erasure, WithdrawErasure(customer_id=each), Metadata())
            ask(shop, patient, each)
            yield each

    monkeypatch.setattr(erase_customers, "due_erasures", found_before)
    keep_appointments(shop, erasures)
    [row] = rows(shop.customers_engine, customers.CUSTOMERS)
    assert (row["name"], row["erased"], row["erase_at"] is None) == (NAME, False, False)
    assert caplog.text == ""


def test_an_order_that_came_in_between_is_carried_out_and_then_erased(shop: Shop, erasures: Erasures) -> None:
    customer_id = register(shop)
    erase(shop, erasures, customer_id)
    open_order = open_order_at_hers(shop, customer_id)  # ordering has not heard of it yet
    shop.follow_customer(customer_id)
    tick(shop)
    assert STREET in repr(rows(shop.ordering_engine, ordering.ORDERS))
    with pytest.raises(Invalid):
        order_at_hers(shop, customer_id)
    cancel(shop, open_order)
    tick(shop)
    tick(shop)
    assert left(everything(shop)) == []


def test_a_draft_that_was_abandoned_holds_no_erasure_up(shop: Shop, erasures: Erasures) -> None:
    customer_id = register(shop)
    order_at_hers(shop, customer_id)
    ask(shop, erasures, customer_id)
    order_at_hers(shop, customer_id)  # before the appointment is kept
    keep_appointments(shop, erasures)
    order_at_hers(shop, customer_id)  # ordering has not heard of it yet
    shop.follow_customer(customer_id)
    tick(shop)
    tick(shop)
    assert left(everything(shop)) == []
    states = {
        (row["status"], row["cancel_reason"], row["erased"]) for row in rows(shop.ordering_engine, ordering.ORDERS)
    }
    assert states == {("Cancelled", "erased", True)}
    assert [row["erasure"] for row in rows(shop.ordering_engine, ordering.CUSTOMERS)] == [2]


def test_a_draft_that_is_submitted_while_a_tick_looks_at_it_is_carried_out(
    shop: Shop, erasures: Erasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer_id = register(shop)
    erase(shop, erasures, customer_id)
    draft = order_at_hers(shop, customer_id)
    shop.ordering.run(add_item, AddItem(order_id=draft, product_id=shop.product(), quantity=1), Metadata())
    shop.follow_customer(customer_id)
    taken = erasing.erase_order

    def submitted_first(command: erasing.EraseOrder, orders: Orders, fulfilments: Fulfilments) -> Accepted:
        if rows(shop.ordering_engine, ordering.ORDERS)[0]["status"] == "Created":
            shop.ordering.run(submit_order, SubmitOrder(order_id=draft), Metadata())
        return taken(command, orders, fulfilments)

    monkeypatch.setattr(erasing, "erase_order", submitted_first)
    tick(shop)
    assert [row["status"] for row in rows(shop.ordering_engine, ordering.ORDERS)] == ["Submitted"]
    cancel(shop, draft)
    tick(shop)
    tick(shop)
    assert left(everything(shop)) == []


@pytest.mark.parametrize("reads", range(1, 7))
def test_an_order_that_is_closed_while_a_tick_looks_at_it_is_erased(
    shop: Shop, erasures: Erasures, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    customer_id = register(shop)
    erase(shop, erasures, customer_id)
    open_order = open_order_at_hers(shop, customer_id)
    shop.follow_customer(customer_id)
    counted = itertools.count(1)

    def read_from(*arguments: Any) -> Any:
        found = reading.read_from(*arguments)
        if next(counted) == reads:
            cancel(shop, open_order)
        return found

    monkeypatch.setattr(erasing, "read_from", read_from)
    for _ in range(4):
        tick(shop)
    assert left(everything(shop)) == []
    assert [row["erasure"] for row in rows(shop.ordering_engine, ordering.CUSTOMERS)] == [2]
