"""Deadlines of fulfilments: each acts once, when it is due or at the time it was moved to; who is late is told of."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from uuid import uuid4

import pytest
import sqlalchemy as sa

from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.shape import UnreadableShape
from shared.frame.sql.errors import OutOfTime
from shared.ordering import tables as ordering
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.domain.errors import NoDeadline, ProcessNotFound
from shared.ordering.events import OrderStatus
from shared.ordering.fulfilment.decisions import Deadline
from shared.ordering.fulfilment.process_manager import LATE, PassDeadline
from shared.ordering.jobs import act_on_deadlines
from shared.ordering.jobs.act_on_deadlines import ACTOR, WORKS_FOR, Deadlines
from shared.ordering.metrics import OLDEST_UNPAID, OVERDUE
from shared.payments.events import PaymentLapsedV1, PaymentVoidedV1
from tests.support.commands import database_away, told_in_one_line
from tests.support.jobs import do
from tests.support.on_its_way import (
    CARD,
    PROCESS_MANAGER,
    Way,
    declined,
    follow_a_payment,
    hasty,
    held,
    kept,
    receive,
    requested,
    submitted,
)
from tests.support.pages import sections
from tests.support.shop import Shop
from tests.support.stack import ROOT
from tests.support.telemetry import observing

OPERATIONS = ROOT / "docs" / "operations.md"


def test_an_order_that_waits_too_long_for_stock_is_cancelled_once_by_two_timers_after_a_day_down(shop: Shop) -> None:
    ways = [submitted(shop, kept(shop, 0), paid=paid) for paid in (True, False)]
    due = [way.process.due_at for way in ways]
    assert all(due)
    latest = max(at for at in due if at)
    ways[0].timer(latest - timedelta(days=1))
    assert [way.order.status for way in ways] == [OrderStatus.SUBMITTED] * 2
    with ThreadPoolExecutor(2) as both:
        list(both.map(ways[0].timer, [latest + timedelta(days=1)] * 2))
    ways[0].timer(latest - timedelta(days=30))  # a clock that jumps back
    ways[0].timer(latest + timedelta(days=900))
    for way in ways:
        way.news.deliver()
        assert (way.order.status, way.order.cancel_reason) == (OrderStatus.CANCELLED, LATE[Deadline.STOCK])
        assert (way.waits_for, way.process.due_at, way.asked) == ("nothing", None, [])
        with shop.ordering_engine.connect() as connection:
            history = ordering.LOG.history(connection, way.order_id)
        [cancelled] = [each.envelope for each in history if each.envelope.type == "OrderCancelledV1"]
        assert cancelled.actor == ACTOR


def test_an_order_on_account_that_is_never_confirmed_gives_its_pieces_back(shop: Shop) -> None:
    product_id = kept(shop, 5)
    way = submitted(shop, product_id, paid=False, quantity=5)
    next_one = submitted(shop, product_id, paid=False)
    assert (way.waits_for, next_one.waits_for) == ("the confirmation", "stock")
    due = way.process.due_at
    assert due is not None
    way.timer(due)
    way.news.deliver()
    assert (way.order.status, way.order.cancel_reason) == (OrderStatus.CANCELLED, LATE[Deadline.CONFIRMATION])
    assert (way.waits_for, next_one.waits_for) == ("nothing", "the confirmation")


def test_an_order_that_is_not_paid_in_time_is_cancelled_and_its_payment_voided(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(declined(way))
    due = way.process.due_at
    assert due is not None
    way.timer(due)
    assert (way.order.status, way.order.cancel_reason) == (OrderStatus.CANCELLED, LATE[Deadline.PAYMENT])
    assert way.asked == ["AuthorisationAskedV1", "VoidAskedV1"]
    way.pay(PaymentVoidedV1(way.order_id))
    assert way.waits_for == "nothing"


def test_a_payment_that_lapsed_before_the_order_was_confirmed_is_waited_for_until_a_deadline(shop: Shop) -> None:
    product_id = kept(shop, 1)
    way = submitted(shop, product_id)
    shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=0, reason="lost"), Metadata())
    way.pay(held(way), PaymentLapsedV1(way.order_id))
    receive(shop, product_id, 1)
    way.news.deliver()
    due = way.process.due_at
    assert due is not None
    assert (way.order.status, way.process.facts.deadline) == (OrderStatus.SUBMITTED, Deadline.PAYMENT)
    way.timer(due)
    assert (way.order.status, way.order.cancel_reason) == (OrderStatus.CANCELLED, LATE[Deadline.PAYMENT])
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1", "VoidAskedV1"], "nothing")


def test_a_confirmed_order_whose_payment_lapsed_is_cancelled_at_a_deadline_and_gives_its_pieces_back(
    shop: Shop,
) -> None:
    product_id = kept(shop, 1)
    way, next_one = submitted(shop, product_id), submitted(shop, product_id, paid=False)
    way.pay(held(way))
    assert (way.order.status, way.process.due_at) == (OrderStatus.CONFIRMED, None)
    way.pay(PaymentLapsedV1(way.order_id))
    due = way.process.due_at
    assert due is not None
    assert (way.process.facts.deadline, way.waits_for) == (Deadline.PAYMENT, "the customer")
    way.pay(requested(way, 2))
    way.pay(declined(way))  # neither puts it off
    way.timer(due - timedelta(seconds=1))
    assert (way.order.status, way.process.due_at) == (OrderStatus.CONFIRMED, due)
    way.timer(due)
    way.news.deliver()
    assert (way.order.status, way.order.cancel_reason) == (OrderStatus.CANCELLED, LATE[Deadline.PAYMENT])
    assert way.asked[-1] == "VoidAskedV1"
    assert next_one.waits_for == "the confirmation"


def test_a_confirmed_order_whose_payment_lapsed_is_paid_in_time(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way), PaymentLapsedV1(way.order_id), requested(way, 2), held(way, 2))
    assert (way.order.status, way.process.due_at, way.waits_for) == (OrderStatus.CONFIRMED, None, "the shipment")


def test_an_order_that_is_shipped_in_part_is_not_cancelled_after_its_payment_lapsed(shop: Shop) -> None:
    tea, cup = kept(shop, 1), kept(shop, 1)
    way = submitted(shop, tea, cup)
    way.pay(held(way))
    way.pay(PaymentLapsedV1(way.order_id))
    due = way.process.due_at
    assert due is not None
    items = [ShippedItem(product_id=tea, quantity=1)]
    shop.catalog.run(ship_items, ShipItems(order_id=way.order_id, items=items), Metadata())
    shop.follow_stock(tea)  # and nothing has looked at it since
    way.timer(due)
    assert (way.order.status, way.process.due_at) == (OrderStatus.CONFIRMED, None)
    assert (way.waits_for, way.process.steps[-1].what) == ("the customer", "pieces of it are shipped")


def test_an_order_on_account_of_before_such_orders_had_a_deadline_can_be_given_one(shop: Shop) -> None:
    way = submitted(shop, paid=False)
    at = datetime.now(UTC) + timedelta(days=3)
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.update(ordering.FULFILMENTS).values(due_at=None, deadline=None))
    way.move(at)
    assert way.process.due_at == at
    way.timer(at)
    assert way.order.status is OrderStatus.CANCELLED


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_a_cancelled_order_of_which_the_catalogue_says_nothing_is_paid_by_what_ordering_knows(
    shop: Shop, *, told: bool
) -> None:
    tea, cup = kept(shop, 1), kept(shop, 1)
    way = submitted(shop, tea, cup)
    way.pay(held(way))
    items = [ShippedItem(product_id=tea, quantity=1)]
    shop.catalog.run(ship_items, ShipItems(order_id=way.order_id, items=items), Metadata())
    shop.ordering.run(cancel_order, CancelOrder(order_id=way.order_id, reason="r"), Metadata())
    shop.fulfil(way.order_id)
    due = way.process.due_at
    assert due is not None
    assert (way.process.facts.deadline, way.asked) == (Deadline.SETTLEMENT, ["AuthorisationAskedV1"])
    way.timer(due - timedelta(seconds=1))
    assert way.asked == ["AuthorisationAskedV1"]
    if told:
        shop.follow_stock(tea)  # and nothing has looked at it since
    way.timer(due)
    way.timer(due + timedelta(days=1))
    assert way.asked == ["AuthorisationAskedV1", "CaptureAskedV1" if told else "VoidAskedV1"]
    assert (way.process.due_at, way.waits_for) == (None, "the capture" if told else "the void")
    assert "the deadline has passed" in [step.what for step in way.process.steps]
    way.news.deliver()  # and the catalogue's word, which is late
    assert len(way.asked) == 2


def test_a_cancelled_order_is_paid_as_soon_as_ordering_knows_of_a_shipment(shop: Shop) -> None:
    tea, cup = kept(shop, 1), kept(shop, 1)
    way = submitted(shop, tea, cup)
    way.pay(held(way))
    items = [ShippedItem(product_id=tea, quantity=1)]
    shop.catalog.run(ship_items, ShipItems(order_id=way.order_id, items=items), Metadata())
    shop.ordering.run(cancel_order, CancelOrder(order_id=way.order_id, reason="r"), Metadata())
    shop.follow_stock(tea)
    shop.fulfil(way.order_id)
    assert (way.process.due_at, way.asked[-1], way.waits_for) == (None, "CaptureAskedV1", "the capture")
    way.news.deliver()  # and the catalogue's word
    assert len(way.asked) == 2


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_an_order_cancelled_before_its_payment_was_asked_for_keeps_its_token_until_it_is_clear_what_was_shipped(
    shop: Shop, *, told: bool
) -> None:
    tea = kept(shop, 1)
    way = hasty(shop, tea)
    shop.fulfil(way.order_id)
    due = way.process.due_at
    assert due is not None
    assert (way.process.facts.deadline, way.process.token, way.asked) == (Deadline.SETTLEMENT, CARD, [])
    if told:
        shop.follow_stock(tea)  # and nothing has looked at it since
    way.timer(due)
    assert (way.process.due_at, way.process.token) == (None, None)
    assert way.asked == (["AuthorisationAskedV1"] if told else [])
    assert way.waits_for == ("the authorisation" if told else "nothing")
    way.news.deliver()  # and the catalogue's word, which is late
    assert way.asked == (["AuthorisationAskedV1"] if told else [])


def test_the_deadline_of_a_cancelled_order_is_moved(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way))
    shop.ordering.run(cancel_order, CancelOrder(order_id=way.order_id, reason="r"), Metadata())
    shop.fulfil(way.order_id)
    now = datetime.now(UTC)
    way.move(now)
    way.timer(now)
    assert (way.asked[-1], way.waits_for) == ("VoidAskedV1", "the void")


def test_a_deadline_looks_again_at_what_came_in_the_meantime(shop: Shop) -> None:
    way = submitted(shop)
    due = way.process.due_at
    assert due is not None
    follow_a_payment(shop, held(way), 1)  # and nothing has looked at it since
    way.timer(due + timedelta(hours=1))
    assert (way.order.status, way.process.due_at) == (OrderStatus.CONFIRMED, None)


def test_a_deadline_that_was_moved_acts_at_its_new_time(shop: Shop) -> None:
    way = submitted(shop)
    due = way.process.due_at
    assert due is not None
    way.move(due + timedelta(hours=2))
    way.pay(declined(way))  # still the same deadline
    way.timer(due + timedelta(hours=1))
    before = way.order.status
    way.timer(due + timedelta(hours=2))
    assert (before, way.order.status) == (OrderStatus.SUBMITTED, OrderStatus.CANCELLED)


def test_a_deadline_that_was_moved_while_a_timer_had_found_it_does_not_act(shop: Shop) -> None:
    way = submitted(shop)
    due = way.process.due_at
    assert due is not None
    way.move(due + timedelta(hours=2))
    late = PassDeadline(order_id=way.order_id)
    shop.ordering.run(PROCESS_MANAGER.pass_deadline, late, Metadata(fingerprint=None, at=due))
    assert way.order.status is OrderStatus.SUBMITTED


def test_only_a_deadline_that_runs_is_moved(shop: Shop) -> None:
    way = submitted(shop, paid=False)
    way.confirm()
    with pytest.raises(NoDeadline, match="the shipment"):
        way.move(datetime.now(UTC))
    with pytest.raises(ProcessNotFound):
        Way(shop, uuid4()).move(datetime.now(UTC))


def test_a_deadline_that_cannot_be_acted_on_holds_no_other_up(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    broken, other = submitted(shop), submitted(shop)
    due = other.process.due_at
    assert due is not None
    table = ordering.FULFILMENTS
    with shop.ordering_engine.begin() as connection:
        damage = sa.update(table).where(table.c.order_id == broken.order_id)
        connection.execute(damage.values(facts='{"shape": 9}', due_at=due - timedelta(hours=1)))
    other.timer(due)
    assert (broken.order.status, other.order.status) == (OrderStatus.SUBMITTED, OrderStatus.CANCELLED)
    [told] = [record for record in caplog.records if str(broken.order_id) in record.getMessage()]
    [section] = [
        each for each in sections(OPERATIONS.read_text(encoding="utf-8")) if each.heading == "overdue-deadlines"
    ]
    looked_for = re.findall(r'Message has "(.*?)"', section.text)
    assert any(words in told.getMessage() for words in looked_for), "the runbook's query finds it"
    with pytest.raises(UnreadableShape, match="shape 9"):
        _ = broken.process


def test_a_database_that_does_not_answer_is_waited_for_by_one_order_and_not_by_each(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    orders = [submitted(shop) for _ in range(3)]
    deadlines = Deadlines(
        shop.ordering, shop.ordering_engine, PROCESS_MANAGER, lambda: datetime.now(UTC) + timedelta(days=30)
    )
    with database_away(), pytest.raises(OutOfTime):
        deadlines.act()
    assert told_in_one_line(caplog, "was not acted on")
    assert caplog.text.count("was not acted on") == 1
    for _ in range(2):  # behind the first one, and from the beginning
        deadlines.act()
    assert {way.order.status for way in orders} == {OrderStatus.CANCELLED}


def test_deadlines_take_turns_when_there_is_no_time_for_all(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken, *others = (submitted(shop) for _ in range(3))
    due = datetime.now(UTC)
    table = ordering.FULFILMENTS
    with shop.ordering_engine.begin() as connection:
        for minutes, way in enumerate((broken, *others)):
            moved = sa.update(table).where(table.c.order_id == way.order_id)
            connection.execute(moved.values(due_at=due + timedelta(minutes=minutes)))
        connection.execute(sa.update(table).where(table.c.order_id == broken.order_id).values(facts='{"shape": 9}'))
    deadlines = Deadlines(shop.ordering, shop.ordering_engine, PROCESS_MANAGER, lambda: due + timedelta(hours=1))
    clock = SimpleNamespace(monotonic=count(step=WORKS_FOR * 0.6).__next__)
    monkeypatch.setattr(act_on_deadlines, "time", clock)
    seen = []
    for _ in range(4):
        deadlines.act()
        seen.append((caplog.text.count("was not acted on"), [way.order.status.value for way in others]))
    late, left = OrderStatus.CANCELLED.value, OrderStatus.SUBMITTED.value
    assert seen == [(1, [left, left]), (1, [late, left]), (1, [late, late]), (2, [late, late])]


async def told(shop: Shop) -> tuple[float, float]:
    """Orders whose deadline was not acted on, and the age of the oldest wait for a payment."""
    with observing() as observed:
        await do(shop.wired()["ordering"], "ordering figures")
        [[overdue], [unpaid]] = [observed.points(figure.name) for figure in (OVERDUE, OLDEST_UNPAID)]
    return overdue.value, unpaid.value  # type: ignore[union-attr]  # they are gauges


async def test_what_is_overdue_and_how_long_somebody_has_not_paid_is_told(shop: Shop) -> None:
    assert await told(shop) == (0, 0)
    way = submitted(shop)
    assert (await told(shop))[0] == 0
    assert (await told(shop))[1] > 0
    way.move(datetime.now(UTC) - timedelta(minutes=6))
    assert (await told(shop))[0] == 1
    way.timer(datetime.now(UTC))
    assert await told(shop) == (0, 0)
