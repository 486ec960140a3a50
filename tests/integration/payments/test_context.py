"""Payments as a context: what fulfilment asks for is noted once, and done once by the provider."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from urllib.error import HTTPError
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import stripe

from infra.local.payments.running import TIMEOUT, Engine, running
from shared.frame.messaging.envelope import Metadata, Recorded
from shared.frame.messaging.retries import is_away
from shared.frame.read_side.read_your_writes import NO_WAIT, Wait
from shared.frame.sql.reading import read_from
from shared.frame.write_side.held import page_of
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.refusals import Invalid
from shared.ordering.events import (
    AuthorisationAskedV1,
    CaptureAskedV1,
    FulfilmentEvent,
    OrderErasedV1,
    OrderStatus,
    RefundAskedV1,
    VoidAskedV1,
)
from shared.payments import stripe_provider
from shared.payments.commands.pay_again import PayAgain, pay_again
from shared.payments.commands.perform_due import DELIVERED_FOR, PAGE, SOONEST, Performing
from shared.payments.commands.refund_payment import RefundPayment
from shared.payments.domain.errors import PaymentNotFound, PaymentStatusForbids, RefundTooLarge
from shared.payments.domain.payment import Payment, PaymentStatus
from shared.payments.domain.provider import NotFromProvider, ProviderUnavailable
from shared.payments.events import DeclineReason, PaymentEvent
from shared.payments.repository import HELD_LOOKED_AT_AFTER, payment_as_stored
from shared.payments.stripe_provider import StripeProvider
from shared.payments.tables import LOG, METADATA, PAYMENTS
from shared.payments.views.order_payment import AT_ONCE, OrderPayment, OrderPayments, ReadPayment
from tests.support.fulfilment import envelope_of
from tests.support.pages import sections
from tests.support.shop import Shop, rows, running_shop
from tests.support.stack import ROOT
from tests.support.traces import found

AMOUNT = Decimal("49.80")
OPERATIONS = ROOT / "docs" / "operations.md"
NOBODY_IS_THERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running(tmp_path_factory.mktemp("payments")) as engine:
        yield engine


@dataclass
class Paying:
    """Payments, wired to the provider."""

    shop: Shop
    engine: Engine

    def __post_init__(self) -> None:
        context = self.shop.wired()["payments"]
        self.consumers = {consumer.name: consumer.consume for consumer in context.consumers}
        self.watches = context.watches.values()
        self.hear = context.hooks[0].hear
        self.held = context.app.held
        self.provider = StripeProvider.from_environment(self.shop.environment)
        self.performing = Performing(context.engine, context.outbox.wake, self.provider)
        [self.refund] = [each.handler for each in context.commands if each.name == "post_order_refund"]
        self.views = OrderPayments(context.reader, self.provider)

    async def ask(self, event: FulfilmentEvent | OrderErasedV1, event_id: UUID | None = None) -> None:
        """Let a request of fulfilment arrive, or the news that an order was erased."""
        envelope = envelope_of(event)
        envelope = replace(envelope, event_id=event_id or envelope.event_id)
        await self.consumers["follow_fulfilment"](envelope)

    async def authorisation(
        self,
        token: str = "pm_card_visa",  # noqa: S107  # a test token
        currency: str = "EUR",
        amount: Decimal = AMOUNT,
    ) -> UUID:
        """Ask for one, and let it be performed."""
        asked = AuthorisationAskedV1(uuid4(), uuid4(), currency, amount, token, 1)
        await self.ask(asked)
        await self.deliver(asked.order_id)
        return asked.order_id

    async def captured(
        self,
        token: str = "pm_card_visa",  # noqa: S107  # a test token
        currency: str = "EUR",
        amount: Decimal = AMOUNT,
    ) -> UUID:
        """Have a payment captured."""
        order_id = await self.authorisation(token, currency, amount)
        await self.ask(CaptureAskedV1(order_id))
        await self.deliver(order_id)
        return order_id

    async def deliver(self, order_id: UUID) -> Payment:
        """Deliver a payment's events, each in its turn, also those that come of it."""
        delivered = 0
        while len(history := self.history(order_id)) > delivered:
            for recorded in history[delivered:]:
                await self.consumers["perform_due_payment"](recorded.envelope)
            delivered = len(history)
        return self.payment(order_id)

    def history(self, order_id: UUID) -> list[Recorded[PaymentEvent]]:
        """All events of a payment."""
        return list(read_from(self.shop.payments_engine, lambda asked: LOG.history(asked, order_id)))

    def payment(self, order_id: UUID) -> Payment:
        """The payment as its tables have it, which is as its events make it."""
        stored = payment_as_stored(self.shop.payments_engine, order_id)
        assert stored is not None
        folded = Payment.fold(recorded.event for recorded in self.history(order_id))
        assert vars(stored) == vars(folded)
        return stored

    def moved(self, order_id: UUID) -> list[tuple[str, int]]:
        """What the provider's ledger says of it."""
        return [
            (each["kind"], each["amount"])
            for each in self.engine.movements()
            if each["metadata"].get("payment") == str(order_id)
        ]

    def webhook(self, order_id: UUID, secret: str | None = None) -> tuple[bytes, str]:
        """A webhook about a payment, and its signature."""
        told = {"object": "payment_intent", "metadata": {"payment": str(order_id)}}
        body = json.dumps({"id": "evt_1", "object": "event", "type": "x", "data": {"object": told}})
        return body.encode(), stripe.WebhookSignature.generate_signature_header(body, secret or self.engine.secret)

    async def read(self, order_id: UUID, customer_id: UUID, wait: Wait = NO_WAIT) -> OrderPayment:
        """What is shown of it."""
        shown, _ = await self.views.read_payment(ReadPayment(order_id=order_id, customer_id=customer_id), wait)
        return shown


@pytest.fixture
def pay(tmp_path: Path, engine: Engine) -> Iterator[Paying]:
    settings = {
        "STRIPE_SECRET_KEY": engine.key,
        "STRIPE_API": engine.url,
        "STRIPE_WEBHOOK_SECRET": engine.secret,
    }
    with running_shop(tmp_path) as shop:
        yield Paying(replace(shop, environment=settings), engine)
    engine.heal()


def without_provider(pay: Paying) -> Paying:
    """The same payments, in a process that reaches no provider."""
    return Paying(replace(pay.shop, environment={**pay.shop.environment, "STRIPE_API": NOBODY_IS_THERE}), pay.engine)


async def test_what_fulfilment_asks_for_is_done_and_recorded(pay: Paying) -> None:
    order_id = await pay.captured()
    await pay.ask(RefundAskedV1(order_id, uuid4(), Decimal("9.80"), "EUR"))
    await pay.ask(RefundAskedV1(order_id, uuid4(), None, None))
    payment = await pay.deliver(order_id)
    assert (payment.status, str(payment.refunded)) == (PaymentStatus.CAPTURED, "49.80")
    assert pay.moved(order_id) == [("authorised", 4980), ("captured", 4980), ("refunded", 980), ("refunded", 4000)]


async def test_what_follows_from_a_request_is_part_of_its_conversation(pay: Paying) -> None:
    history = pay.history(await pay.authorisation())
    assert {recorded.envelope.correlation_id for recorded in history} == {"conversation"}
    assert [recorded.envelope.causation_id for recorded in history[1:]] == [
        str(recorded.envelope.event_id) for recorded in history[:-1]
    ]


async def test_a_request_that_comes_twice_is_noted_once(pay: Paying) -> None:
    asked, event_id = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", AMOUNT, "pm_card_visa", 1), uuid4()
    await asyncio.gather(*(pay.ask(asked, event_id) for _ in range(3)))
    await pay.ask(replace(asked, attempt=2))  # the process repeats what the payment knows: another token
    await pay.deliver(asked.order_id)
    assert pay.moved(asked.order_id) == [("authorised", 4980)]
    for _ in range(2):
        await pay.ask(VoidAskedV1(asked.order_id))
    await pay.deliver(asked.order_id)
    await pay.ask(VoidAskedV1(asked.order_id))
    assert pay.moved(asked.order_id) == [("authorised", 4980), ("voided", 4980)]


async def test_requests_that_come_before_the_first_one_come_again(pay: Paying) -> None:
    order_id = uuid4()
    for early in (VoidAskedV1(order_id), CaptureAskedV1(order_id), RefundAskedV1(order_id, uuid4(), None, None)):
        with pytest.raises(PaymentNotFound):
            await pay.ask(early)
    await pay.ask(AuthorisationAskedV1(order_id, uuid4(), "EUR", AMOUNT, "pm_card_visa", 1))
    await pay.ask(VoidAskedV1(order_id))
    payment = await pay.deliver(order_id)
    assert (payment.status, pay.moved(order_id)) == (PaymentStatus.VOIDED, [])


def _requests(order_id: UUID, *, stands: bool) -> list[FulfilmentEvent]:
    begun = AuthorisationAskedV1(order_id, uuid4(), "EUR", AMOUNT, "pm_card_visa", 1)
    if not stands:
        return [begun, VoidAskedV1(order_id)]
    return [begun, CaptureAskedV1(order_id), RefundAskedV1(order_id, uuid4(), Decimal("9.80"), "EUR")]


@pytest.mark.parametrize(
    ("order", "moved"),
    [
        *((order, [("authorised", 4980), ("captured", 4980), ("refunded", 980)]) for order in permutations(range(3))),
        ((0, 1), [("authorised", 4980), ("voided", 4980)]),
        ((1, 0), [("authorised", 4980), ("voided", 4980)]),
    ],
)
async def test_requests_end_the_same_in_whatever_order_they_come(
    pay: Paying, order: tuple[int, ...], moved: list[tuple[str, int]]
) -> None:
    order_id = uuid4()
    requests = _requests(order_id, stands=len(order) > 2)
    coming = deque(requests[number] for number in order)
    for _ in range(len(coming) ** 2):
        request = coming.popleft()
        try:
            await pay.ask(request)
        except (PaymentNotFound, PaymentStatusForbids):
            coming.append(request)  # Service Bus delivers it again
        else:
            await pay.deliver(order_id)
        if not coming:
            break
    await pay.ask(requests[0])  # asked for again, when it is over
    payment = await pay.deliver(order_id)
    assert (pay.moved(order_id), payment.due) == (moved, None)


async def test_deliveries_at_the_same_time_move_money_once(pay: Paying) -> None:
    asked = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", AMOUNT, "pm_card_visa", 1)
    await pay.ask(asked)
    for _ in range(4):
        [*_, newest] = pay.history(asked.order_id)
        consume = pay.consumers["perform_due_payment"]
        outcomes = await asyncio.gather(*(consume(newest.envelope) for _ in range(3)), return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, ProviderUnavailable) for outcome in outcomes)
    assert pay.payment(asked.order_id).status is PaymentStatus.AUTHORISED
    assert pay.moved(asked.order_id) == [("authorised", 4980)]


async def test_only_the_newest_events_delivery_calls_the_provider(pay: Paying) -> None:
    order_id = await pay.authorisation()
    for recorded in pay.history(order_id)[:-1]:
        await without_provider(pay).consumers["perform_due_payment"](recorded.envelope)


async def test_a_process_that_dies_between_charge_and_record_leaves_one_charge(
    pay: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", AMOUNT, "pm_card_visa", 1)
    await pay.ask(asked)

    class Died(BaseException):
        pass

    def die(_: UnitOfWork) -> None:
        raise Died

    for _ in range(2):
        [*_, newest] = pay.history(asked.order_id)
        with monkeypatch.context() as patch:
            patch.setattr(UnitOfWork, "commit", die)
            with pytest.raises(Died):
                pay.performing.perform(asked.order_id, newest.envelope.version)
        pay.performing.perform(asked.order_id, newest.envelope.version)
    assert pay.payment(asked.order_id).status is PaymentStatus.AUTHORISED
    assert pay.moved(asked.order_id) == [("authorised", 4980)]


async def test_a_void_that_races_the_authorisation_wins(pay: Paying) -> None:
    asked = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", AMOUNT, "pm_card_visa", 1)
    await pay.ask(asked)
    pay.performing.perform(asked.order_id)
    pay.engine.expect("slow", "/confirm", seconds=1)
    authorising = asyncio.create_task(asyncio.to_thread(pay.performing.perform, asked.order_id))
    await asyncio.sleep(0.3)  # any other moment has the same end
    await pay.ask(VoidAskedV1(asked.order_id))
    await authorising
    payment = await pay.deliver(asked.order_id)
    assert payment.status is PaymentStatus.VOIDED
    assert pay.moved(asked.order_id) == [("authorised", 4980), ("voided", 4980)]


async def test_after_a_decline_another_token_pays(pay: Paying) -> None:
    order_id = await pay.authorisation("pm_card_visa_chargeDeclinedInsufficientFunds")
    payment = pay.payment(order_id)
    assert (payment.status, payment.decline_reason) == (PaymentStatus.DECLINED, DeclineReason.INSUFFICIENT_FUNDS)
    another = PayAgain(order_id=order_id, token="pm_card_visa")  # noqa: S106  # a test token
    pay.shop.payments.run(pay_again, another, Metadata())
    payment = await pay.deliver(order_id)
    assert (payment.status, payment.attempt) == (PaymentStatus.AUTHORISED, 2)
    with pytest.raises(PaymentStatusForbids):
        pay.shop.payments.run(pay_again, another, Metadata())
    assert pay.moved(order_id) == [("authorised", 4980)]


async def test_refunds_in_parts_are_made_once_for_a_key_and_never_more_than_was_paid(pay: Paying) -> None:
    order_id = await pay.captured()
    part = RefundPayment(order_id=order_id, amount=Decimal("9.80"), reason="One cup was broken")
    key = Metadata(command_id="key")
    first = pay.shop.payments.run(pay.refund, part, key)
    await pay.deliver(order_id)
    assert pay.shop.payments.run(pay.refund, part, key) == replace(first, replayed=True)
    for too_much in (Decimal("40.01"), Decimal("49.80")):
        with pytest.raises(RefundTooLarge):
            pay.shop.payments.run(pay.refund, part.model_copy(update={"amount": too_much}), Metadata())
    for nothing in (Decimal(0), Decimal("1.001")):
        with pytest.raises(Invalid):
            pay.shop.payments.run(pay.refund, part.model_copy(update={"amount": nothing}), Metadata())
    pay.shop.payments.run(pay.refund, RefundPayment(order_id=order_id, reason="The rest"), Metadata())
    await pay.deliver(order_id)
    with pytest.raises(RefundTooLarge):
        pay.shop.payments.run(pay.refund, RefundPayment(order_id=order_id, reason="More"), Metadata())
    await pay.ask(RefundAskedV1(order_id, uuid4(), None, None))  # the process asks for what is left, which is nothing
    assert pay.moved(order_id) == [("authorised", 4980), ("captured", 4980), ("refunded", 980), ("refunded", 4000)]


@pytest.mark.parametrize(("currency", "amount"), [("KWD", "1.234"), ("MGA", "0.50")])
async def test_a_refund_with_digits_that_the_provider_does_not_take_is_refused_and_changes_nothing(
    pay: Paying, currency: str, amount: str
) -> None:
    order_id = await pay.captured(currency=currency, amount=Decimal(100))
    before = pay.payment(order_id)
    refund = RefundPayment(order_id=order_id, amount=Decimal(amount), reason="One cup was broken")
    with pytest.raises(Invalid) as raised:
        pay.shop.payments.run(pay.refund, refund, Metadata())
    assert [error.pointer for error in raised.value.errors] == ["/amount"]
    assert vars(pay.payment(order_id)) == vars(before)
    pay.shop.payments.run(pay.refund, refund.model_copy(update={"amount": Decimal(1)}), Metadata())
    assert str((await pay.deliver(order_id)).refunded.amount.normalize()) == "1"


async def test_a_cardholder_alone_gets_the_secret_and_a_webhook_settles_it(pay: Paying) -> None:
    order_id = await pay.authorisation("pm_card_authenticationRequired")
    payment = pay.payment(order_id)
    assert payment.reference
    for caller in (None, uuid4()):
        shown = await pay.read(order_id, payment.customer_id, Wait(time.monotonic() + 5, caller))
        assert (shown.status, shown.client_secret) == (PaymentStatus.ACTION_REQUIRED, None)
    theirs = Wait(time.monotonic() + 5, payment.customer_id)
    shown = await pay.read(order_id, payment.customer_id, theirs)
    assert (shown.client_secret or "").startswith(f"{payment.reference}_secret_")
    with pytest.raises(ProviderUnavailable):
        await without_provider(pay).read(order_id, payment.customer_id, theirs)
    with pytest.raises(PaymentNotFound):
        await pay.read(order_id, uuid4())

    pay.engine.authenticate(payment.reference)
    for _ in range(2):
        pay.hear(*pay.webhook(order_id))
    assert pay.payment(order_id).status is PaymentStatus.AUTHORISED
    shown = await pay.read(order_id, payment.customer_id, theirs)
    assert (shown.status, shown.client_secret) == (PaymentStatus.AUTHORISED, None)
    await pay.ask(CaptureAskedV1(order_id))
    await pay.deliver(order_id)
    for _ in range(2):
        pay.hear(*pay.webhook(order_id))  # late, and about what is over
    assert pay.moved(order_id) == [("authorised", 4980), ("captured", 4980)]


async def test_a_provider_that_hangs_keeps_nobody_from_reading_a_payment_that_is_read_from_the_tables(
    pay: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_provider, "TIMEOUT", TIMEOUT)  # until this test lets it answer
    asking = [pay.payment(await pay.authorisation("pm_card_authenticationRequired")) for _ in range(AT_ONCE)]
    other = await pay.authorisation()
    for each in asking:
        pay.engine.expect("hang", f"/{each.reference}")
    asked = [
        asyncio.create_task(pay.read(each.order_id, each.customer_id, Wait(time.monotonic() + 5, each.customer_id)))
        for each in asking
    ]
    async with asyncio.timeout(TIMEOUT):
        while pay.engine.faults():  # noqa: ASYNC110  # until the provider, another process, has all questions
            await asyncio.sleep(0.01)
    read = asyncio.create_task(pay.read(other, pay.payment(other).customer_id))
    first, _ = await asyncio.wait({read, *asked}, return_when=asyncio.FIRST_COMPLETED)
    assert first == {read}
    assert read.result().status is PaymentStatus.AUTHORISED
    pay.engine.heal()
    assert all(shown.client_secret for shown in await asyncio.gather(*asked))


async def test_another_card_that_the_browser_tries_with_the_same_secret_pays(pay: Paying) -> None:
    order_id = await pay.authorisation("pm_card_authenticationRequired")
    payment = pay.payment(order_id)
    shown = await pay.read(order_id, payment.customer_id, Wait(time.monotonic() + 5, payment.customer_id))
    assert payment.reference
    assert shown.client_secret
    pay.engine.authenticate(payment.reference, successful=False)
    pay.hear(*pay.webhook(order_id))
    assert pay.payment(order_id).status is PaymentStatus.DECLINED
    with pytest.raises(HTTPError):
        pay.engine.confirm(payment.reference, "pi_1_secret_guessed")
    pay.engine.confirm(payment.reference, shown.client_secret, "pm_card_visa_chargeDeclined")
    pay.hear(*pay.webhook(order_id))
    assert pay.payment(order_id).status is PaymentStatus.DECLINED
    pay.engine.confirm(payment.reference, shown.client_secret)
    pay.hear(*pay.webhook(order_id))
    payment = await pay.deliver(order_id)
    assert (payment.status, payment.attempt) == (PaymentStatus.AUTHORISED, 1)
    await pay.ask(CaptureAskedV1(order_id))
    await pay.deliver(order_id)
    assert pay.moved(order_id) == [("authorised", 4980), ("captured", 4980)]


async def test_a_webhook_of_somebody_else_is_refused_and_one_about_nothing_of_ours_changes_nothing(pay: Paying) -> None:
    order_id = await pay.authorisation("pm_card_authenticationRequired")
    before = pay.history(order_id)
    payment = pay.payment(order_id)
    assert payment.reference
    pay.engine.authenticate(payment.reference)
    body, signature = pay.webhook(order_id)
    for forged in ((body, None), (body, ""), (body + b" ", signature), pay.webhook(order_id, "whsec_mine"), (b"", "")):
        with pytest.raises(NotFromProvider):
            pay.hear(*forged)
    pay.hear(*pay.webhook(uuid4()))
    assert pay.history(order_id) == before


async def test_an_authorisation_that_the_bank_let_go_is_noted_when_the_provider_tells_of_it(pay: Paying) -> None:
    order_id = await pay.authorisation()
    pay.engine.lapse(str(pay.payment(order_id).reference))
    pay.hear(*pay.webhook(order_id))
    assert pay.payment(order_id).status is PaymentStatus.LAPSED
    await pay.ask(CaptureAskedV1(order_id))  # was asked for before the news of it came
    assert pay.payment(order_id).status is PaymentStatus.LAPSED


async def test_a_delivery_waits_for_a_provider_that_is_away_and_an_old_one_leaves_it_to_the_timer(pay: Paying) -> None:
    asked = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", AMOUNT, "pm_card_visa", 1)
    await pay.ask(asked)
    away = without_provider(pay)
    [requested] = pay.history(asked.order_id)
    with pytest.raises(ProviderUnavailable) as raised:
        await away.consumers["perform_due_payment"](requested.envelope)
    assert is_away(raised.value)
    old = replace(requested.envelope, occurred_at=datetime.now(UTC) - DELIVERED_FOR)
    await away.consumers["perform_due_payment"](old)
    assert pay.history(asked.order_id) == [requested]


async def tick(pay: Paying) -> None:
    """Let the timer come, at a time when all that is due is to be looked at."""
    with pay.shop.payments_engine.begin() as connection:
        past = datetime.now(UTC) - timedelta(hours=1)
        connection.execute(sa.update(PAYMENTS).where(PAYMENTS.c.look_at.is_not(None)).values(look_at=past))
    for watch in pay.watches:
        await watch()


async def test_what_an_outage_left_settles_by_itself_when_the_provider_is_back(pay: Paying) -> None:
    orders = [uuid4() for _ in range(PAGE + 2)]
    for order_id in orders:
        await pay.ask(AuthorisationAskedV1(order_id, uuid4(), "EUR", AMOUNT, "pm_card_visa", 1))
    await tick(without_provider(pay))
    assert all(len(pay.history(order_id)) == 1 for order_id in orders)
    for _ in range(2):  # to open, and to authorise
        await tick(pay)
    assert {pay.payment(order_id).status for order_id in orders} == {PaymentStatus.AUTHORISED}
    assert all(pay.moved(order_id) == [("authorised", 4980)] for order_id in orders)


def stripe_of(pay: Paying) -> stripe.StripeClient:
    return stripe.StripeClient(pay.engine.key, base_addresses={"api": pay.engine.url})


def refunds_of(pay: Paying, payment: Payment) -> list[stripe.Refund]:
    return stripe_of(pay).v1.refunds.list({"payment_intent": payment.reference or ""}).data


@pytest.mark.parametrize("heard", ["webhook", "timer"])
async def test_a_refund_is_recorded_when_it_was_made_and_made_again_when_it_has_failed(pay: Paying, heard: str) -> None:
    async def hear() -> None:
        if heard == "webhook":
            told = json.dumps({"id": "evt_1", "object": "event", "type": "x", "data": {"object": newest.to_dict()}})
            pay.hear(told.encode(), stripe.WebhookSignature.generate_signature_header(told, pay.engine.secret))
        else:
            await tick(pay)

    order_id = await pay.captured("pm_card_pendingRefund")
    await pay.ask(RefundAskedV1(order_id, uuid4(), Decimal("9.80"), "EUR"))
    for _ in range(2):
        await pay.deliver(order_id)  # which waits for no bank: the webhook or the timer tells
    assert pay.payment(order_id).refunded.amount == 0
    [newest] = refunds_of(pay, pay.payment(order_id))
    pay.engine.end_refund(newest.id, successful=False)
    await hear()
    assert pay.payment(order_id).refunded.amount == 0
    [newest, _] = refunds_of(pay, pay.payment(order_id))
    pay.engine.end_refund(newest.id)
    await hear()
    assert str(pay.payment(order_id).refunded) == "9.80"
    assert pay.moved(order_id) == [("authorised", 4980), ("captured", 4980), ("refunded", 980)]
    assert len(refunds_of(pay, pay.payment(order_id))) == 2


@pytest.mark.parametrize("heard", ["delivery", "webhook", "timer"])
async def test_a_refund_that_is_refused_for_good_keeps_no_other_waiting_and_is_told_of(
    pay: Paying, heard: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def hear() -> None:
        match heard:
            case "delivery":
                await pay.deliver(order_id)
            case "webhook":
                pay.hear(*pay.webhook(order_id))
            case _:
                await tick(pay)

    order_id = await pay.captured()
    intent = str(pay.payment(order_id).reference)
    stripe_of(pay).v1.refunds.create({"payment_intent": intent, "amount": 4000})  # as the shop may in its dashboard
    refused, made = uuid4(), uuid4()
    await pay.ask(RefundAskedV1(order_id, refused, Decimal("10.00"), "EUR"))
    await pay.ask(RefundAskedV1(order_id, made, Decimal("9.80"), "EUR"))
    await hear()
    assert list(pay.payment(order_id).refunds_due) == [refused]
    refusal = f"Refund of order {order_id} is not done: the provider refused the request:"
    assert sum(line.startswith(f"{refusal} no code (req_") for line in caplog.messages) == 1
    await hear()  # all of it is given back now
    assert any(line.startswith(f"{refusal} charge_already_refunded (req_") for line in caplog.messages)
    assert pay.moved(order_id)[2:] == [("refunded", 4000), ("refunded", 980)]


async def test_the_runbook_counts_what_is_refused_for_one_reason_together(
    pay: Paying, caplog: pytest.LogCaptureFixture
) -> None:
    order_id = await pay.captured()
    stripe_of(pay).v1.refunds.create({"payment_intent": str(pay.payment(order_id).reference)})
    await pay.ask(RefundAskedV1(order_id, uuid4(), None, None))
    for _ in range(2):
        await tick(pay)
    lines = [line for line in caplog.messages if " is not done: " in line]
    assert len(set(lines)) == 2, "Stripe gives each request an id"
    page = sections(OPERATIONS.read_text(encoding="utf-8"))
    blocks = {each.heading: each.blocks("kusto")[0].split("\n\n") for each in page if each.blocks("kusto")}
    why = "the provider refused the request: charge_already_refunded"
    for heading, counted in (
        ("payment-provider", ["Refund", why, 2]),
        ("waiting-payments", ["Refund", str(order_id), why, 2]),
    ):
        [query] = [query for query in blocks[heading] if " is not done: " in query]
        [row] = found(query, lines)
        assert list(row[: len(counted)]) == counted


async def test_a_refund_that_waits_as_before_is_looked_at_without_a_write(
    pay: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, committed = UnitOfWork.commit, list[UnitOfWork]()

    def counted(work: UnitOfWork) -> None:
        committed.append(work)
        commit(work)

    order_id = await pay.captured("pm_card_pendingRefund")
    await pay.ask(RefundAskedV1(order_id, uuid4(), None, None))
    monkeypatch.setattr(UnitOfWork, "commit", counted)
    for _ in range(3):
        pay.hear(*pay.webhook(order_id))
    assert len(committed) == 1  # that the bank is waited for
    pay.engine.end_refund(refunds_of(pay, pay.payment(order_id))[0].id)
    pay.hear(*pay.webhook(order_id))
    assert len(committed) == 2


async def test_each_refund_is_recorded_by_itself_before_the_next_one_is_made(pay: Paying) -> None:
    order_id = await pay.captured()
    for _ in range(2):
        await pay.ask(RefundAskedV1(order_id, uuid4(), Decimal("9.80"), "EUR"))
    pay.performing.perform(order_id)
    assert str(pay.payment(order_id).refunded) == "9.80"
    assert pay.moved(order_id)[2:] == [("refunded", 980)]
    assert str((await pay.deliver(order_id)).refunded) == "19.60"


async def test_a_refund_that_waits_for_its_bank_keeps_no_other_waiting(pay: Paying) -> None:
    order_id = await pay.captured("pm_card_pendingRefund")
    for _ in range(2):
        await pay.ask(RefundAskedV1(order_id, uuid4(), Decimal("9.80"), "EUR"))
    await pay.deliver(order_id)
    assert [refund.status for refund in refunds_of(pay, pay.payment(order_id))] == ["pending", "pending"]


@pytest.mark.parametrize("heard", ["delivery", "webhook", "timer"])
async def test_what_was_captured_at_the_provider_before_the_order_was_cancelled_is_given_back(
    pay: Paying, heard: str
) -> None:
    order_id = await pay.authorisation()
    stripe_of(pay).v1.payment_intents.capture(str(pay.payment(order_id).reference))  # as the shop may in its dashboard
    pay.hear(*pay.webhook(order_id))
    assert pay.payment(order_id).status is PaymentStatus.AUTHORISED  # nobody has asked for it here
    await pay.ask(VoidAskedV1(order_id))
    match heard:
        case "delivery":
            await pay.deliver(order_id)
        case "webhook":
            pay.hear(*pay.webhook(order_id))
        case _:
            await tick(pay)
    assert (pay.payment(order_id).status, pay.payment(order_id).due) == (PaymentStatus.CAPTURED, None)
    await pay.ask(RefundAskedV1(order_id, uuid4(), None, None))
    assert str((await pay.deliver(order_id)).refunded) == "49.80"
    assert pay.moved(order_id) == [("authorised", 4980), ("captured", 4980), ("refunded", 4980)]


@pytest.mark.parametrize("part", [None, Decimal("9.80")])
async def test_of_a_part_that_was_captured_at_the_provider_no_more_than_that_is_given_back(
    pay: Paying, part: Decimal | None
) -> None:
    order_id = await pay.authorisation()
    intent = str(pay.payment(order_id).reference)
    stripe_of(pay).v1.payment_intents.capture(intent, {"amount_to_capture": 2000})  # as the shop may in its dashboard
    await pay.ask(VoidAskedV1(order_id))
    payment = await pay.deliver(order_id)
    assert (payment.status, str(payment.refunded), str(payment.left)) == (PaymentStatus.CAPTURED, "29.80", "20.00")
    if part:
        await pay.ask(RefundAskedV1(order_id, uuid4(), part, "EUR"))
    await pay.ask(RefundAskedV1(order_id, uuid4(), None, None))
    payment = await pay.deliver(order_id)
    assert (payment.due, str(payment.refunded), str(payment.left)) == (None, "49.80", "0.00")
    assert pay.moved(order_id)[:2] == [("authorised", 4980), ("captured", 2000)]
    assert sum(amount for kind, amount in pay.moved(order_id) if kind == "refunded") == 2000


async def test_a_payment_that_cannot_be_looked_after_holds_up_no_other(
    pay: Paying, caplog: pytest.LogCaptureFixture
) -> None:
    broken = await pay.captured(currency="KWD")
    await pay.ask(RefundAskedV1(broken, uuid4(), Decimal("1.234"), "KWD"))
    others = [uuid4() for _ in range(PAGE)]
    for order_id in others:
        await pay.ask(AuthorisationAskedV1(order_id, uuid4(), "EUR", AMOUNT, "pm_card_visa", 1))
    for _ in range(2):  # to open, and to authorise
        await tick(pay)
    assert {pay.payment(order_id).status for order_id in others} == {PaymentStatus.AUTHORISED}
    assert f"cannot look after the payment of order {broken}: NotPayable" in caplog.messages


async def test_what_the_bank_let_go_is_found_out_without_a_webhook(pay: Paying) -> None:
    order_id = await pay.authorisation()
    before = datetime.now(UTC)
    await tick(pay)
    with pay.shop.payments_engine.connect() as connection:
        look_at = connection.execute(sa.select(PAYMENTS.c.look_at)).scalar_one()
    assert before + HELD_LOOKED_AT_AFTER <= look_at <= datetime.now(UTC) + HELD_LOOKED_AT_AFTER
    assert pay.payment(order_id).status is PaymentStatus.AUTHORISED
    pay.engine.lapse(str(pay.payment(order_id).reference))
    await tick(pay)
    assert pay.payment(order_id).status is PaymentStatus.LAPSED


async def test_the_timer_looks_at_what_waits_ever_more_seldom_and_at_nothing_before_its_time(pay: Paying) -> None:
    order_id = await pay.authorisation("pm_card_authenticationRequired")
    payment = pay.payment(order_id)

    def look_at() -> datetime:
        with pay.shop.payments_engine.connect() as connection:
            found = connection.execute(sa.select(PAYMENTS.c.look_at).where(PAYMENTS.c.order_id == order_id))
            at: datetime = found.scalar_one()
            return at

    assert payment.reference
    pay.engine.authenticate(payment.reference)
    for watch in pay.watches:
        await watch()
    assert pay.payment(order_id).status is PaymentStatus.ACTION_REQUIRED
    before = datetime.now(UTC)
    await tick(without_provider(pay))
    assert before + SOONEST <= look_at() <= datetime.now(UTC) + SOONEST
    changed = datetime.now(UTC) - timedelta(minutes=20)
    with pay.shop.payments_engine.begin() as connection:
        connection.execute(sa.update(PAYMENTS).values(changed_at=changed))
    before = datetime.now(UTC)
    await tick(without_provider(pay))
    after = datetime.now(UTC)
    assert before + (before - changed) / 4 <= look_at() <= after + (after - changed) / 4
    await tick(pay)
    assert pay.payment(order_id).status is PaymentStatus.AUTHORISED


async def test_the_payment_of_an_erased_order_says_nothing_of_anybody_and_gives_back_what_is_due(pay: Paying) -> None:
    order_id = await pay.captured()
    due = RefundPayment(order_id=order_id, amount=Decimal("9.80"), reason="Ms. Secret's cup was broken")
    pay.shop.payments.run(pay.refund, due, Metadata(fingerprint=b"f" * 32))
    erased = OrderErasedV1(order_id, pay.payment(order_id).customer_id, OrderStatus.COMPLETED)
    for _ in range(2):
        await pay.ask(erased)
    payment = await pay.deliver(order_id)
    assert (payment.erased, payment.version, str(payment.refunded)) == (True, 8, "9.80")

    later = RefundPayment(order_id=order_id, reason="The rest of Ms. Secret's cups")
    pay.shop.payments.run(pay.refund, later, Metadata())
    await pay.deliver(order_id)
    assert pay.moved(order_id) == [("authorised", 4980), ("captured", 4980), ("refunded", 980), ("refunded", 4000)]
    everything = repr([rows(pay.shop.payments_engine, table) for table in METADATA.sorted_tables])
    assert [word for word in ("Secret", "cup", repr(b"f" * 32)) if word in everything] == []


async def test_an_erased_order_on_account_has_no_payment_to_erase(pay: Paying) -> None:
    order_id = uuid4()
    await pay.ask(OrderErasedV1(order_id, uuid4(), OrderStatus.CANCELLED))
    assert pay.history(order_id) == []


async def test_without_an_account_payments_wait(pay: Paying) -> None:
    unset = Paying(replace(pay.shop, environment={}), pay.engine)
    order_id = uuid4()
    await unset.ask(AuthorisationAskedV1(order_id, uuid4(), "EUR", AMOUNT, "pm_card_visa", 1))
    with pytest.raises(ProviderUnavailable, match="STRIPE_SECRET_KEY"):
        await unset.deliver(order_id)
    with pytest.raises(NotFromProvider):
        unset.hear(*unset.webhook(order_id, "guessed"))
    await pay.deliver(order_id)
    assert pay.moved(order_id) == [("authorised", 4980)]


async def test_what_is_held_of_a_customer_has_their_payments_and_nobody_elses(pay: Paying) -> None:
    order_id = await pay.authorisation()
    await pay.authorisation()
    held, _ = page_of(pay.held, pay.payment(order_id).customer_id, None, 100)
    assert [each.recorded for each in held] == pay.history(order_id)
