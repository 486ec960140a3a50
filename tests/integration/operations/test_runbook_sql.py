"""What the runbook lets an administrator of the database do: each statement runs, and does what the page says."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
import sqlalchemy as sa

from infra.sql.migrate import migration_engine
from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.domain.errors import NotReserved
from shared.catalog.tables import STOCK
from shared.customers import tables as customers
from shared.customers.commands.erase_customer import EraseCustomer, Erasures, WithdrawErasure, withdraw_erasure
from shared.customers.domain.errors import ErasureAsked
from shared.frame.messaging.envelope import Metadata
from shared.ordering import tables as ordering
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.domain.errors import OrderNotInStatus
from shared.ordering.events import OrderStatus
from shared.payments.events import PaymentLapsedV1
from tests.integration.messaging.relay.conftest import Clock, history, relay, unpublished
from tests.support import reserving
from tests.support.erasing import ask, erase, keep_appointments, tick
from tests.support.on_its_way import Way, follow_a_payment, held, kept, requested, submitted, taken
from tests.support.runbook import SOMEBODY, STATEMENTS, filled
from tests.support.shop import Shop, rows
from tests.support.stack import ROOT
from tests.support.topic import KeptTopic

PRIVACY = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
LATE_ERASURES = Erasures([], timedelta(hours=72))
"""With the grace period that they have in Azure."""


@contextmanager
def administrator(shop: Shop) -> Iterator[sa.Connection]:
    """A transaction of somebody who may change every schema."""
    engine = migration_engine(shop.url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def carry_out(shop: Shop, section: str, *, customer_ids: object = SOMEBODY, **times: datetime) -> None:
    """Carry out the changes that a section tells to make."""
    with administrator(shop) as connection:
        for text in STATEMENTS[section]:
            if text.startswith("UPDATE"):
                connection.exec_driver_sql(filled(text, customer_id=customer_ids, **times))


@pytest.mark.parametrize("section", STATEMENTS)
def test_each_statement_runs(section: str, shop: Shop) -> None:
    with administrator(shop) as connection:
        for text in STATEMENTS[section]:
            connection.exec_driver_sql(filled(text))


def test_events_are_published_again_since_a_time_in_their_order_and_with_their_ids(shop: Shop) -> None:
    clock, first, again = Clock(), KeptTopic(), KeptTopic()
    ada = history(shop, 2)
    relay(shop, first, clock).run()
    clock.move(timedelta(hours=1))
    bob = history(shop, 2)
    history(shop, 2, after=2, aggregate_id=ada)
    relay(shop, first, clock).run()

    carry_out(shop, "Messages are gone", SINCE=clock.now - timedelta(minutes=30))
    clock.move(timedelta(hours=1))
    assert relay(shop, again, clock).run() == 4
    assert again.versions() == {ada: [3, 4], bob: [1, 2]}
    assert {each.event_id for each in again.sent} < {each.event_id for each in first.sent}
    assert unpublished(shop) == []


def test_no_deadline_of_the_lost_time_is_acted_on_until_somebody_has_looked(shop: Shop) -> None:
    way = submitted(shop, kept(shop, 0), paid=False)
    due = way.process.due_at
    assert due is not None
    looked = due + timedelta(days=3)
    carry_out(shop, "The database was restored", LATER=looked)
    way.timer(looked - timedelta(minutes=1))
    assert (way.order.status, way.process.due_at) == (OrderStatus.SUBMITTED, looked.replace(microsecond=0))
    way.timer(looked)
    assert way.order.status is OrderStatus.CANCELLED


def test_nobody_is_erased_until_those_who_withdrew_have_withdrawn_again(shop: Shop) -> None:
    erasures = Erasures([], timedelta())
    withdrew, erased, later = (shop.customer(name) for name in ("Ada", "Bob", "Eve"))
    for customer_id in (withdrew, erased):
        command = EraseCustomer(customer_id=customer_id, reason="a letter")
        shop.customers.run(erasures.ask, command, Metadata())
    carry_out(shop, "The database was restored", LATER=datetime.now(UTC) + timedelta(days=3))
    keep_appointments(shop, erasures)
    appointments = {row["customer_id"]: row["erase_at"] for row in rows(shop.customers_engine, customers.CUSTOMERS)}
    assert appointments[withdrew] == appointments[erased] is not None
    assert appointments[later] is None, "nobody gets an appointment by it"

    shop.customers.run(withdraw_erasure, WithdrawErasure(customer_id=withdrew), Metadata())
    carry_out(shop, "The database was restored", LATER=datetime.now(UTC))
    after = {row["customer_id"]: row["erase_at"] for row in rows(shop.customers_engine, customers.CUSTOMERS)}
    assert after[withdrew] is None
    assert after[erased] == appointments[erased], "what is later stays"


def test_the_lost_database_tells_who_was_erased_and_who_asked_or_withdrew_since_a_time(shop: Shop) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    erased, asked, withdrew, _ = (shop.customer(name) for name in ("Ada", "Bob", "Eve", "Joe"))
    for customer_id in (asked, withdrew):
        ask(shop, LATE_ERASURES, customer_id)
    shop.customers.run(withdraw_erasure, WithdrawErasure(customer_id=withdrew), Metadata())
    erase(shop, Erasures([], timedelta()), erased)
    [listing] = [text for text in STATEMENTS["The database was restored"] if "CustomerErasedV1" in text]

    def last(since: datetime) -> dict[UUID, str]:
        with administrator(shop) as connection:
            listed = connection.exec_driver_sql(filled(listing, RESTORED_TO=since))
            return {UUID(str(row.aggregate_id)): row.type for row in listed}

    assert last(began) == {
        erased: "CustomerErasedV1",
        asked: "CustomerErasureAskedV1",
        withdrew: "CustomerErasureWithdrawnV1",
    }
    assert last(began + timedelta(hours=1)) == {}


def test_who_was_erased_in_the_lost_time_is_erased_at_the_next_tick_although_a_request_makes_an_appointment(
    shop: Shop,
) -> None:
    """Of some the request is lost too; of the others it is there, and cannot be made again."""
    asked, lost, waits, erased_before = (shop.customer(name) for name in ("Ada", "Bob", "Eve", "Joe"))
    erase(shop, Erasures([], timedelta()), erased_before)
    shop.follow_customer(erased_before)
    tick(shop)
    for customer_id in (asked, waits):
        ask(shop, LATE_ERASURES, customer_id)
    again = f"{asked.hex}', '{lost.hex}', '{erased_before.hex}"
    carry_out(shop, "The database was restored", LATER=datetime.now(UTC) + timedelta(days=3), customer_ids=again)
    with pytest.raises(ErasureAsked):
        ask(shop, LATE_ERASURES, asked)
    [listing] = [text for text in STATEMENTS["The database was restored"] if "o.erasure < 2" in text]

    def left() -> set[UUID]:
        with administrator(shop) as connection:
            return {UUID(str(row[0])) for row in connection.exec_driver_sql(listing)}

    assert left() == {asked, lost}
    keep_appointments(shop, LATE_ERASURES)
    assert left() == {asked, lost}, "ordering has not heard of it"
    for customer_id in (asked, lost):
        shop.follow_customer(customer_id)
    assert left() == {asked, lost}, "ordering has not done it"
    tick(shop)
    assert left() == set()
    after = {row["customer_id"]: row for row in rows(shop.customers_engine, customers.CUSTOMERS)}
    assert {each for each, row in after.items() if row["erased"]} == {asked, lost, erased_before}
    [kept_elsewhere] = re.findall(r"`(SELECT customer_id FROM customers\.customers [^`]*)`", PRIVACY)
    with administrator(shop) as connection:
        listed = {UUID(str(row[0])) for row in connection.exec_driver_sql(kept_elsewhere)}
    assert listed == {asked, lost, erased_before}, "what is to be kept elsewhere in case that there is no lost database"
    assert {each for each, row in after.items() if row["erase_at"]} == {waits}, "and nobody is erased twice"


def test_open_orders_of_a_product_whose_stock_begins_to_be_kept_are_listed_and_their_pieces_can_be_left_out(
    shop: Shop,
) -> None:
    [text] = STATEMENTS["Stock does not add up"]

    def listed() -> set[UUID]:
        with administrator(shop) as connection:
            given = connection.exec_driver_sql(filled(text, product_id=product_id.hex)).all()
        assert all(quantity == 3 for _, _, quantity in given)
        return {UUID(str(order_id)) for order_id, _, _ in given}

    product_id = shop.product()
    waits, goes_on, over = (reserving.submitted(shop, product_id, quantity=3) for _ in range(3))
    reserving.submitted(shop, shop.product(), quantity=3)
    for each in (waits, goes_on, over):
        shop.follow_order(each)
    shop.ordering.run(confirm_order, ConfirmOrder(order_id=goes_on), Metadata())
    shop.ordering.run(cancel_order, CancelOrder(order_id=over, reason="r"), Metadata())
    assert listed() == {waits, goes_on}

    shop.follow_order(goes_on)
    reserving.receive(shop, product_id, 10 - 6)
    after = reserving.submitted(shop, product_id, quantity=3)
    shop.follow_order(after)
    assert listed() == {waits, goes_on}, "the first receipt reserves nothing for them"
    with pytest.raises(NotReserved):
        reserving.ship(shop, goes_on, product_id, 3)
    shop.ordering.run(complete_order, CompleteOrder(order_id=goes_on), Metadata())
    shop.follow_order(goes_on)
    assert listed() == {waits}
    [stock] = rows(shop.catalog_engine, STOCK)
    assert (stock["on_hand"], stock["reserved"]) == (4, 3), "and their completion takes nothing"


def test_open_orders_at_a_price_that_was_corrected_are_listed_and_can_be_cancelled_before_they_are_submitted(
    shop: Shop,
) -> None:
    [text] = STATEMENTS['A customer says "my order is wrong"']

    def listed() -> set[UUID]:
        with administrator(shop) as connection:
            return {UUID(str(row[0])) for row in connection.exec_driver_sql(filled(text, product_id=product_id.hex))}

    product_id = shop.product("1.99")
    draft, placed, over = shop.order(product_id), *(reserving.submitted(shop, product_id) for _ in range(2))
    shop.ordering.run(cancel_order, CancelOrder(order_id=over, reason="r"), Metadata())
    assert listed() == set()
    shop.catalog.run(change_price, ChangePrice(product_id=product_id, unit_price=Decimal("199.00")), Metadata())
    shop.follow_product(product_id)
    shop.order(product_id)
    assert listed() == {draft, placed}
    for each in (draft, placed):
        shop.ordering.run(cancel_order, CancelOrder(order_id=each, reason="The price was wrong"), Metadata())
    assert listed() == set()
    with pytest.raises(OrderNotInStatus):
        shop.ordering.run(submit_order, SubmitOrder(order_id=draft), Metadata())


def test_what_was_shipped_unpaid_is_listed_until_it_is_paid_with_another_token(shop: Shop) -> None:
    listing = STATEMENTS["An order waits"][0]

    def listed() -> set[UUID]:
        with administrator(shop) as connection:
            return {UUID(str(row[0])) for row in connection.exec_driver_sql(filled(listing))}

    tea, cup = kept(shop, 2), kept(shop, 2)
    lapsed, paid = submitted(shop, tea, cup), submitted(shop, tea, cup)
    on_account = submitted(shop, tea, paid=False)
    on_account.confirm()
    for way in (lapsed, paid):
        way.pay(held(way))
        reserving.ship(shop, way.order_id, tea, 1)
        way.news.deliver()
    assert listed() == set(), "what is held is taken when the order is completed"
    lapsed.pay(PaymentLapsedV1(lapsed.order_id))
    assert listed() == {lapsed.order_id}
    shop.catalog.run(recount_stock, RecountStock(product_id=cup, counted=0, reason="broken"), Metadata())
    for way in (lapsed, paid):
        way.news.deliver()
        way.complete()
    assert listed() == {lapsed.order_id}
    lapsed.pay(requested(lapsed, 2), held(lapsed, 2), taken(lapsed))
    assert (lapsed.order.status, listed()) == (OrderStatus.COMPLETED, set())


def test_what_a_second_token_holds_is_taken_or_let_go_although_the_release_before_passed_over_it(shop: Shop) -> None:
    """Its process took a payment that had lapsed for over, and noted that it had seen the news of another attempt."""
    listing = STATEMENTS["An order waits"][1]

    def listed() -> set[UUID]:
        with administrator(shop) as connection:
            return {UUID(str(row[0])) for row in connection.exec_driver_sql(filled(listing))}

    def hold_unseen(way: Way) -> None:
        follow_a_payment(shop, requested(way, 2), 3)
        follow_a_payment(shop, held(way, 2), 4)

    completed, cancelled, goes_on = (submitted(shop) for _ in range(3))
    for way in (completed, cancelled, goes_on):
        way.pay(held(way))
    completed.complete()
    cancelled.cancel()
    for way in (completed, cancelled):
        way.pay(PaymentLapsedV1(way.order_id))
        assert way.waits_for == "nothing"
    for way in (completed, cancelled):
        hold_unseen(way)
    assert listed() == {completed.order_id, cancelled.order_id}

    carry_out(shop, "An order waits")
    completed.timer(datetime.now(UTC))
    assert completed.asked == ["AuthorisationAskedV1", "CaptureAskedV1", "CaptureAskedV1"]
    assert cancelled.asked == ["AuthorisationAskedV1", "VoidAskedV1", "VoidAskedV1"]
    assert (completed.order.status, cancelled.order.status) == (OrderStatus.COMPLETED, OrderStatus.CANCELLED)
    assert (goes_on.order.status, goes_on.process.due_at) == (OrderStatus.CONFIRMED, None)
    assert listed() == set()


def test_a_confirmed_order_whose_deadline_the_release_before_cleared_is_listed_and_can_be_given_one(shop: Shop) -> None:
    def listed() -> set[UUID]:
        with administrator(shop) as connection:
            return {UUID(str(row[0])) for row in connection.exec_driver_sql(filled(STATEMENTS["An order waits"][3]))}

    tea, cup = kept(shop, 9), kept(shop, 9)
    forgotten, shipped, lapsed, paid = ways = [submitted(shop, tea, cup) for _ in range(4)]
    for way in ways:
        way.pay(held(way))
    reserving.ship(shop, shipped.order_id, tea, 1)
    for way in (forgotten, shipped, lapsed):
        way.pay(PaymentLapsedV1(way.order_id))
    assert (listed(), paid.process.due_at, shipped.process.due_at) == (set(), None, None)

    with administrator(shop) as connection:
        forgotten_one = ordering.FULFILMENTS.c.order_id == forgotten.order_id
        connection.execute(sa.update(ordering.FULFILMENTS).where(forgotten_one).values(due_at=None, deadline=None))
    assert listed() == {forgotten.order_id}
    due = datetime.now(UTC) + timedelta(hours=1)
    forgotten.move(due)
    assert listed() == set()
    forgotten.timer(due)
    assert (forgotten.order.status, lapsed.order.status) == (OrderStatus.CANCELLED, OrderStatus.CONFIRMED)
