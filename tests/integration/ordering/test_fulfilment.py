"""The fulfilment of an order, from its submission to its end: news in any order, and deadlines that act once."""

import json
import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.catalog import tables as catalog
from shared.catalog.commands.follow_orders import FOLLOWED as FOLLOWED_BY_CATALOG
from shared.catalog.commands.follow_orders import follow_order
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.frame.messaging.envelope import Envelope, Metadata, Recorded
from shared.frame.read_side.read_your_writes import Wait
from shared.frame.read_side.shape import UnreadableShape
from shared.frame.write_side.event_log import envelope_of
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.kernel.refusals import Invalid
from shared.ordering import fulfilments
from shared.ordering import tables as ordering
from shared.ordering.commands.act_on_deadlines import ACTOR, Deadlines
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.follow_payments import follow_payment
from shared.ordering.commands.fulfil_order import FOLLOWED, LATE, Fulfilling, PassDeadline
from shared.ordering.commands.move_deadline import MoveDeadline, move_deadline
from shared.ordering.commands.submit_order import Payment, SubmitOrder, submit_order
from shared.ordering.domain.errors import NoDeadline, ProcessNotFound
from shared.ordering.domain.fulfilment import Deadline
from shared.ordering.domain.order import Order
from shared.ordering.events import OrderStatus, fulfilment_of
from shared.ordering.figures import OLDEST_UNPAID, OVERDUE
from shared.ordering.fulfilments import Fulfilments, Process
from shared.ordering.repository import Orders
from shared.ordering.views.processes import ListProcesses, OrderProcess, Processes, ReadProcess
from shared.payments.events import (
    DeclineReason,
    PaymentActionRequiredV1,
    PaymentAuthorisedV1,
    PaymentCapturedV1,
    PaymentCaptureRequestedV1,
    PaymentDeclinedV1,
    PaymentEvent,
    PaymentLapsedV1,
    PaymentOpenedV1,
    PaymentRefundedV1,
    PaymentRefundRequestedV1,
    PaymentRequestedV1,
    PaymentVoidedV1,
    PaymentVoidRequestedV1,
)
from tests.support.pages import sections
from tests.support.shop import Shop, rows
from tests.support.stack import ROOT
from tests.support.telemetry import observing

FULFILLING = Fulfilling(
    {
        Deadline.STOCK: timedelta(days=14),
        Deadline.PAYMENT: timedelta(hours=24),
        Deadline.CONFIRMATION: timedelta(days=14),
    }
)
CARD = "pm_card_visa"
OPERATIONS = ROOT / "docs" / "operations.md"


class News:
    """Takes what happens from the logs to whom it concerns, until nothing is left."""

    def __init__(self, shop: Shop, chance: random.Random | None = None) -> None:
        self._shop, self._chance = shop, chance
        self._seen: set[UUID] = set()

    def deliver(self) -> None:
        """Deliver what has happened, and what follows from that."""
        while deliveries := self._new():
            if self._chance is not None:
                deliveries = self._chance.sample(deliveries * 2, len(deliveries) * 2)
            for deliver in deliveries:
                deliver()

    def _new(self) -> list[Callable[[], None]]:
        found: list[Callable[[], None]] = []
        for tables in (ordering, catalog):
            with self._shop.engines[tables.SCHEMA].connect() as connection:
                logged = connection.execute(sa.select(tables.LOG.table).order_by(tables.LOG.table.c.sequence)).all()
            for envelope in map(envelope_of, logged):
                if envelope.event_id not in self._seen:
                    self._seen.add(envelope.event_id)
                    found += self._deliveries(tables.SCHEMA, envelope)
        return found

    def _deliveries(self, schema: str, envelope: Envelope) -> list[Callable[[], None]]:
        ordering_, catalog_ = self._shop.ordering, self._shop.catalog
        if schema == "catalog":
            recorded: Recorded[Any] = catalog.CODEC.open(envelope)
            return [lambda: ordering_.follow(ordering.INBOX, FULFILLING.follow_product, recorded)]
        own = ordering.CODEC.open(envelope)
        deliveries: list[Callable[[], None]] = []
        if type(own.event).__name__ in FOLLOWED:
            deliveries.append(lambda: ordering_.follow(ordering.INBOX, FULFILLING.follow_order, own))
        if type(own.event).__name__ in FOLLOWED_BY_CATALOG:
            deliveries.append(lambda: catalog_.follow(catalog.INBOX, follow_order, own))
        return deliveries


class Way:
    """An order on its way."""

    def __init__(self, shop: Shop, order_id: UUID, chance: random.Random | None = None) -> None:
        self.shop, self.order_id, self.news = shop, order_id, News(shop, chance)
        self._payment = 0

    def pay(self, *events: PaymentEvent) -> None:
        """Let payments tell of its payment."""
        for event in events:
            self._payment += 1
            follow_a_payment(self.shop, event, self._payment)
        self.news.deliver()

    @property
    def order(self) -> Order:
        """The order as it is stored."""
        return Orders(UnitOfWork(self.shop.ordering_engine), Metadata()).load(self.order_id)

    @property
    def process(self) -> Process:
        """Its fulfilment as it is stored."""
        found = Fulfilments(UnitOfWork(self.shop.ordering_engine), Metadata()).find(self.order_id)
        assert found is not None
        return found

    @property
    def waits_for(self) -> str:
        """What it waits for."""
        return self.process.facts.waits_for

    @property
    def asked(self) -> list[str]:
        """What was asked of payments."""
        with self.shop.ordering_engine.connect() as connection:
            history = ordering.LOG.history(connection, fulfilment_of(self.order_id))
        return [recorded.envelope.type for recorded in history]

    def confirm(self) -> None:
        """Let the shop confirm it."""
        self.shop.ordering.run(confirm_order, ConfirmOrder(order_id=self.order_id), Metadata())
        self.news.deliver()

    def complete(self) -> None:
        """Let the shop complete it."""
        self.shop.ordering.run(complete_order, CompleteOrder(order_id=self.order_id), Metadata())
        self.news.deliver()

    def cancel(self) -> None:
        """Let the customer cancel it."""
        self.shop.ordering.run(cancel_order, CancelOrder(order_id=self.order_id, reason="r"), Metadata())
        self.news.deliver()

    def timer(self, at: datetime) -> None:
        """Let a timer look at this time."""
        Deadlines(self.shop.ordering, self.shop.ordering_engine, FULFILLING, lambda: at).act()

    def move(self, at: datetime) -> None:
        """Let an operator move its deadline."""
        self.shop.ordering.run(move_deadline, MoveDeadline(order_id=self.order_id, at=at), Metadata())


def follow_a_payment(shop: Shop, event: PaymentEvent, version: int) -> None:
    envelope = Envelope(
        event_id=uuid4(),
        aggregate_id=event.order_id,
        version=version,
        type=type(event).__name__,
        payload="",
        occurred_at=datetime.now(UTC),
        command_id="c",
        correlation_id="c",
        causation_id="c",
        traceparent=None,
        actor="payments",
    )
    shop.ordering.follow(ordering.INBOX, follow_payment, Recorded(envelope, event))


def submitted(
    shop: Shop, *product_ids: UUID, paid: bool = True, quantity: int = 1, chance: random.Random | None = None
) -> Way:
    order_id = shop.order(*(product_ids or [shop.product()]), quantity=quantity)
    payment = Payment(token=CARD) if paid else None
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id, payment=payment), Metadata())
    way = Way(shop, order_id, chance)
    way.news.deliver()
    return way


def kept(shop: Shop, quantity: int) -> UUID:
    product_id = shop.product()
    receive(shop, product_id, quantity or 1)
    if not quantity:
        shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=0, reason="r"), Metadata())
    return product_id


def receive(shop: Shop, product_id: UUID, quantity: int) -> None:
    shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=quantity), Metadata())


def held(way: Way, attempt: int = 1) -> PaymentAuthorisedV1:
    return PaymentAuthorisedV1(way.order_id, "EUR", way.order.total, attempt)


def taken(way: Way) -> PaymentCapturedV1:
    return PaymentCapturedV1(way.order_id, "EUR", way.order.total)


def declined(way: Way) -> PaymentDeclinedV1:
    return PaymentDeclinedV1(
        way.order_id, way.order.payment.attempt if way.order.payment else 1, DeclineReason.DECLINED
    )


def requested(way: Way, attempt: int = 1) -> PaymentRequestedV1:
    return PaymentRequestedV1(way.order_id, way.order.customer_id, "EUR", way.order.total, CARD, attempt)


def test_an_order_on_account_is_confirmed_by_the_shop(shop: Shop) -> None:
    way = submitted(shop, paid=False)
    assert (way.waits_for, way.order.status) == ("the confirmation", OrderStatus.SUBMITTED)
    way.confirm()
    assert (way.waits_for, way.process.due_at) == ("the shipment", None)
    way.complete()
    assert (way.waits_for, way.asked) == ("nothing", [])


def test_a_paid_order_goes_by_itself_from_submitted_to_captured(shop: Shop) -> None:
    way = submitted(shop)
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1"], "the authorisation")
    way.pay(requested(way), PaymentOpenedV1(way.order_id, "pi"), PaymentActionRequiredV1(way.order_id, 1))
    assert way.waits_for == "the customer"
    way.pay(held(way))
    assert (way.order.status, way.waits_for) == (OrderStatus.CONFIRMED, "the shipment")
    way.complete()
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1", "CaptureAskedV1"], "the capture")
    way.pay(PaymentCaptureRequestedV1(way.order_id), taken(way))
    assert way.waits_for == "nothing"
    with shop.ordering_engine.connect() as connection:
        [asked, _] = ordering.LOG.history(connection, fulfilment_of(way.order_id))
    assert getattr(asked.event, "token", None) == CARD
    assert way.process.token is None
    assert [step.what for step in way.process.steps] == [
        "submitted, to be paid",
        "all is reserved",
        "asked for the authorisation",
        "payment: actionRequired",
        "payment: authorised",
        "confirmed",
        "completed",
        "asked for the capture",
        "payment: captured",
    ]


def test_shipping_all_items_has_the_payment_captured(shop: Shop) -> None:
    product_id = kept(shop, 2)
    way = submitted(shop, product_id, quantity=2)
    way.pay(held(way))
    items = [ShippedItem(product_id=product_id, quantity=2)]
    shop.catalog.run(ship_items, ShipItems(order_id=way.order_id, items=items), Metadata())
    way.news.deliver()
    assert (way.order.status, way.asked[-1]) == (OrderStatus.COMPLETED, "CaptureAskedV1")


def test_what_waits_for_stock_is_not_authorised_before_it_is_there(shop: Shop) -> None:
    tea, cup = kept(shop, 1), shop.product()
    way = submitted(shop, tea, cup, quantity=2)
    assert (way.asked, way.waits_for) == ([], "stock")
    assert way.process.due_at is not None
    receive(shop, tea, 1)
    way.news.deliver()
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1"], "the authorisation")


def test_stock_that_is_lost_while_it_is_authorised_is_waited_for_again(shop: Shop) -> None:
    product_id = kept(shop, 1)
    way = submitted(shop, product_id)
    shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=0, reason="lost"), Metadata())
    way.news.deliver()
    way.pay(held(way))
    assert (way.order.status, way.waits_for) == (OrderStatus.SUBMITTED, "stock")
    receive(shop, product_id, 1)
    way.news.deliver()
    assert (way.order.status, way.asked) == (OrderStatus.CONFIRMED, ["AuthorisationAskedV1"])


def test_another_token_is_tried_after_a_decline_and_only_payments_asks_for_it(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(requested(way), declined(way))
    assert way.waits_for == "the customer"
    way.pay(requested(way, 2))
    assert way.waits_for == "the authorisation"
    way.pay(held(way, 2))
    assert (way.order.status, way.asked) == (OrderStatus.CONFIRMED, ["AuthorisationAskedV1"])


@pytest.mark.parametrize("authorised", [True, False], ids=["authorised", "on its way"])
def test_a_cancelled_order_has_its_payment_voided(shop: Shop, *, authorised: bool) -> None:
    way = submitted(shop)
    if authorised:
        way.pay(held(way))
    way.cancel()
    assert (way.asked[-1], way.waits_for) == ("VoidAskedV1", "the void")
    way.pay(*([] if authorised else [held(way)]), PaymentVoidRequestedV1(way.order_id), PaymentVoidedV1(way.order_id))
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1", "VoidAskedV1"], "nothing")


def test_a_payment_that_lapsed_waits_for_the_shop(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way), PaymentLapsedV1(way.order_id))
    assert "lapsed" in way.waits_for


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
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1"], "nothing")


def test_the_token_of_an_order_that_is_cancelled_before_it_is_used_is_forgotten(shop: Shop) -> None:
    way = submitted(shop, kept(shop, 0))
    before = way.process.token
    way.cancel()
    assert (before, way.process.token) == (CARD, None)
    assert way.asked == []
    with shop.ordering_engine.connect() as connection:
        [facts] = connection.execute(sa.select(ordering.FULFILMENTS.c.facts)).scalars().all()
    assert CARD not in facts


def test_refunds_are_shown_in_parts_and_late_news_of_the_payment_says_nothing(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way))
    way.complete()
    way.pay(taken(way), PaymentRefundRequestedV1(way.order_id, uuid4(), "EUR", Decimal(1), None))
    part, total = Decimal("2.50"), way.order.total
    way.pay(PaymentRefundedV1(way.order_id, uuid4(), "EUR", part, part))
    assert way.order.payment is not None
    assert (way.order.payment.status, way.order.payment.refunded) == ("captured", part)
    version = way.order.version
    follow_a_payment(shop, held(way), 1)
    assert way.order.version == version
    way.pay(PaymentRefundedV1(way.order_id, uuid4(), "EUR", total - part, total))
    assert (way.order.payment.status, way.order.payment.refunded) == ("refunded", total)


def test_a_cancelled_order_of_which_the_shop_took_a_part_ends_when_that_is_given_back(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way))
    way.cancel()
    part, total = Decimal("2.50"), way.order.total
    way.pay(PaymentCapturedV1(way.order_id, "EUR", part))
    assert way.order.payment is not None
    assert (way.order.payment.status, way.order.payment.refunded) == ("captured", total - part)
    assert (way.asked[-1], way.waits_for) == ("RefundAskedV1", "the refund")
    way.pay(PaymentRefundedV1(way.order_id, uuid4(), "EUR", part, total))
    assert (way.order.payment.refunded, way.waits_for) == (total, "nothing")


def test_an_order_on_account_takes_no_news_of_a_payment(shop: Shop) -> None:
    way = submitted(shop, paid=False)
    version = way.order.version
    way.pay(held(way))
    assert (way.order.version, way.order.status) == (version, OrderStatus.SUBMITTED)


def test_news_of_a_payment_that_no_order_asked_for_says_nothing(shop: Shop) -> None:
    way = submitted(shop)
    version = way.order.version
    follow_a_payment(shop, PaymentVoidedV1(uuid4()), 1)
    assert way.order.version == version


@pytest.mark.parametrize("seed", range(12))
def test_news_that_comes_shuffled_and_twice_leads_to_the_same_end(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    tea, cup = kept(shop, chance.randint(0, 3)), shop.product()
    way = submitted(shop, tea, cup, quantity=2, chance=chance)
    receive(shop, tea, 2)
    way.news.deliver()
    cancels = chance.random() < 0.5
    if cancels:
        way.cancel()
        way.pay(held(way), PaymentVoidedV1(way.order_id))
    else:
        way.pay(held(way))
        shipped = [ShippedItem(product_id=tea, quantity=2)]
        shop.catalog.run(ship_items, ShipItems(order_id=way.order_id, items=shipped), Metadata())
        way.news.deliver()
        way.complete()
        way.pay(taken(way))
    assert way.waits_for == "nothing"
    assert way.asked == ["AuthorisationAskedV1", "VoidAskedV1" if cancels else "CaptureAskedV1"]
    log = ordering.LOG.table
    with shop.ordering_engine.connect() as connection:
        kinds = connection.execute(sa.select(log.c.type).where(log.c.aggregate_id == way.order_id)).scalars().all()
    steps = [kind for kind in kinds if kind in {"OrderConfirmedV1", "OrderCompletedV1", "OrderCancelledV1"}]
    assert steps == (["OrderCancelledV1"] if cancels else ["OrderConfirmedV1", "OrderCompletedV1"])


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


def test_a_cancelled_order_whose_payment_the_shop_took_at_the_provider_is_given_it_back(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way))
    way.cancel()
    way.pay(taken(way))
    assert way.asked == ["AuthorisationAskedV1", "VoidAskedV1", "RefundAskedV1"]
    assert way.waits_for == "the refund"
    way.pay(PaymentRefundedV1(way.order_id, uuid4(), "EUR", way.order.total, way.order.total))
    assert way.waits_for == "nothing"


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


def facts_of(way: Way) -> dict[str, Any]:
    with way.shop.ordering_engine.connect() as connection:
        table = ordering.FULFILMENTS
        facts: dict[str, Any] = json.loads(
            connection.execute(sa.select(table.c.facts).where(table.c.order_id == way.order_id)).scalar_one()
        )
        return facts


def test_only_what_the_release_before_knows_is_written_in_its_shape(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Before(StrEnum):
        STOCK = "stock"
        PAYMENT = "payment"

    ways = {
        "confirmation": submitted(shop, paid=False),
        "payment": submitted(shop),
        "stock": submitted(shop, kept(shop, 0)),
    }
    due = ways["stock"].process.due_at
    assert due is not None
    ways["stock"].timer(due)  # and so the others', which are due before
    for deadline, way in ways.items():
        assert ["Cancel", deadline] in facts_of(way)["asks"]
    waiting = submitted(shop, paid=False)
    monkeypatch.setattr(fulfilments, "Deadline", Before)
    monkeypatch.setattr(fulfilments, "SHAPES", replace(fulfilments.SHAPES, today=1, upcasts={}))
    for way in (ways["payment"], ways["stock"], waiting):
        assert way.process.order_id == way.order_id
    with pytest.raises(UnreadableShape, match="is in shape 2, and this release reads 1"):
        _ = ways["confirmation"].process


def test_an_order_on_account_of_before_such_orders_had_a_deadline_can_be_given_one(shop: Shop) -> None:
    way = submitted(shop, paid=False)
    at = datetime.now(UTC) + timedelta(days=3)
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.update(ordering.FULFILMENTS).values(due_at=None, deadline=None))
    way.move(at)
    assert way.process.due_at == at
    way.timer(at)
    assert way.order.status is OrderStatus.CANCELLED


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


async def test_a_deadline_that_was_moved_to_long_ago_is_listed_and_acts_at_once(shop: Shop) -> None:
    way = submitted(shop)
    way.move(datetime(1, 1, 1, tzinfo=UTC))
    assert await all_listed(shop, due=datetime.now(UTC)) == [way.order_id]
    way.timer(datetime.now(UTC))
    assert way.order.status == OrderStatus.CANCELLED


def test_a_deadline_that_was_moved_while_a_timer_had_found_it_does_not_act(shop: Shop) -> None:
    way = submitted(shop)
    due = way.process.due_at
    assert due is not None
    way.move(due + timedelta(hours=2))
    late = PassDeadline(order_id=way.order_id)
    shop.ordering.run(FULFILLING.pass_deadline, late, Metadata(fingerprint=None, at=due))
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


def test_of_two_who_go_on_with_one_fulfilment_at_once_one_decides_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = submitted(shop, kept(shop, 0))
    first, second = way.process, way.process
    for process, fails in ((first, False), (second, True)):
        work = UnitOfWork(shop.ordering_engine)
        moved = MoveDeadline(order_id=process.order_id, at=datetime.now(UTC))
        fulfilments = Fulfilments(work, Metadata())
        monkeypatch.setattr(fulfilments, "find", lambda _id, found=process: found)  # both have read before
        move_deadline(moved, fulfilments)
        if fails:
            with pytest.raises(LostRace):
                work.commit()
        else:
            work.commit()


def test_an_order_that_was_submitted_before_there_was_a_process_is_left_to_the_shop(shop: Shop) -> None:
    way = submitted(shop, kept(shop, 0), paid=False)
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.delete(ordering.FULFILMENTS))
    way.confirm()
    way.timer(datetime.now(UTC) + timedelta(days=99))
    assert way.order.status is OrderStatus.CONFIRMED
    assert rows(shop.ordering_engine, ordering.FULFILMENTS) == []


def test_the_catalogue_tells_once_of_how_many_lines_it_keeps_no_stock(shop: Shop) -> None:
    way = submitted(shop, kept(shop, 5), shop.product(), shop.product(), chance=random.Random(1))
    log = catalog.LOG.table
    with shop.catalog_engine.connect() as connection:
        told = connection.execute(sa.select(log).where(log.c.type == "StockNotKeptV1")).all()
    [event] = [catalog.CODEC.open(envelope_of(row)).event for row in told]
    assert (getattr(event, "order_id", None), getattr(event, "lines", None)) == (way.order_id, 2)


async def told(shop: Shop) -> tuple[float, float]:
    """Orders whose deadline was not acted on, and the age of the oldest wait for a payment."""
    [watch] = shop.wired()["ordering"].watches.values()
    with observing() as observed:
        await watch()
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


async def listed(shop: Shop, **query: Any) -> tuple[list[OrderProcess], str | None]:
    page = await Processes(shop.ordering_engine).read_page(ListProcesses(**query), Wait(0))
    return page.items, page.next


async def test_fulfilments_are_listed_with_what_they_wait_for_and_what_comes_next(shop: Shop) -> None:
    waiting, paid, ended = submitted(shop, kept(shop, 0)), submitted(shop), submitted(shop)
    paid.pay(held(paid))
    ended.cancel()
    ended.pay(PaymentVoidedV1(ended.order_id))
    first, second = (await listed(shop))[0]
    assert (first.order_id, first.state, first.waits_for) == (waiting.order_id, "submitted", "stock")
    assert first.next == ["the authorisation", "the confirmation", "the shipment", "the capture"]
    assert first.deadline is not None
    assert first.deadline.waits_for is Deadline.STOCK
    assert (second.order_id, second.next, second.deadline) == (paid.order_id, ["the capture"], None)
    assert [each.order_id for each in (await listed(shop, state="confirmed"))[0]] == [paid.order_id]
    assert (await listed(shop, due=datetime.now(UTC)))[0] == []
    soon = datetime.now(UTC) + timedelta(days=15)
    assert [each.order_id for each in (await listed(shop, due=soon))[0]] == [waiting.order_id]


async def test_a_fulfilment_is_read_by_its_order_also_after_its_end(shop: Shop) -> None:
    way = submitted(shop)
    processes = Processes(shop.ordering_engine)
    [under_way] = (await listed(shop))[0]
    assert await processes.read_one(ReadProcess(order_id=way.order_id), Wait(0)) == under_way
    assert under_way.ended_at is None
    way.cancel()
    way.pay(PaymentVoidedV1(way.order_id))
    ended = await processes.read_one(ReadProcess(order_id=way.order_id), Wait(0))
    assert (ended.state, ended.waits_for, ended.next, ended.deadline) == ("cancelled", "nothing", [], None)
    assert ended.ended_at is not None
    assert [step.what for step in ended.steps][-2:] == ["asked for the void", "payment: voided"]
    with pytest.raises(ProcessNotFound):
        await processes.read_one(ReadProcess(order_id=uuid4()), Wait(0))


async def all_listed(shop: Shop, **query: Any) -> list[UUID]:
    """What is listed, page by page."""
    found, cursor = await listed(shop, take=2, **query)
    while cursor:
        more, cursor = await listed(shop, take=2, cursor=cursor, **query)
        found += more
        assert len({each.order_id for each in found}) == len(found), "nothing comes twice"
    return [each.order_id for each in found]


async def test_a_list_of_fulfilments_is_read_page_by_page(shop: Shop) -> None:
    ways = [submitted(shop, kept(shop, 0)) for _ in range(5)]
    assert await all_listed(shop) == [way.order_id for way in ways]


async def test_those_that_are_due_are_read_page_by_page_the_earliest_deadline_first(shop: Shop) -> None:
    ways = [submitted(shop, kept(shop, 0)) for _ in range(6)]
    now = datetime.now(UTC)
    for way, hours in zip(ways, (5, 3, 3, 3, 1, -1), strict=True):
        way.move(now - timedelta(hours=hours))
    at_once = sorted((way.order_id for way in ways[1:4]), key=str)
    assert await all_listed(shop, due=now) == [ways[0].order_id, *at_once, ways[4].order_id]
    assert await all_listed(shop, due=now, state="confirmed") == []
    _, cursor = await listed(shop, take=2)
    with pytest.raises(Invalid):
        await listed(shop, take=2, cursor=cursor, state="confirmed")
