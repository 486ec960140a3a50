"""What nobody asks about is looked after: by the provider's webhooks, and by a timer when none comes."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.frame.messaging.retries import is_away
from shared.ordering.events import AuthorisationAskedV1, CaptureAskedV1, FulfilmentEvent, RefundAskedV1, VoidAskedV1
from shared.payments.commands.pay_again import PayAgain, pay_again
from shared.payments.domain.errors import PaymentStatusForbids
from shared.payments.domain.payment import PaymentStatus
from shared.payments.domain.provider import NotFromProvider, ProviderUnavailable, RequestInvalid
from shared.payments.jobs import perform_due
from shared.payments.jobs.perform_due import DELIVERED_FOR, LATEST, PAGE, SOONEST
from shared.payments.repository import DECLINED_LOOKED_AT_AFTER, DECLINED_LOOKED_AT_FOR, HELD_LOOKED_AT_AFTER
from shared.payments.tables import PAYMENTS
from tests.support.jobs import do
from tests.support.paying import AMOUNT, Paying, not_authenticated, tick, without_provider
from tests.support.telemetry import observing


def another_token_for(order_id: UUID) -> PayAgain:
    return PayAgain(order_id=order_id, token="pm_card_visa")  # noqa: S106  # a test token


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


async def test_what_the_bank_let_go_is_paid_with_another_token_by_another_intent(pay: Paying) -> None:
    order_id = await pay.authorisation()
    first = str(pay.payment(order_id).reference)
    pay.engine.lapse(first)
    pay.hear(*pay.webhook(order_id))
    pay.shop.payments.run(pay_again, another_token_for(order_id), Metadata())
    await pay.ask(CaptureAskedV1(order_id))  # of what was held before
    payment = await pay.deliver(order_id)
    assert (payment.status, payment.attempt) == (PaymentStatus.AUTHORISED, 2)
    assert payment.reference not in {None, first}
    pay.hear(*pay.webhook(order_id))  # late, about the first
    await pay.ask(CaptureAskedV1(order_id))
    assert (await pay.deliver(order_id)).status is PaymentStatus.CAPTURED
    assert pay.moved(order_id) == [(kind, 4980) for kind in ("authorised", "lapsed", "authorised", "captured")]


async def test_what_the_bank_let_go_of_a_cancelled_order_is_not_paid_any_more(pay: Paying) -> None:
    order_id = await pay.authorisation()
    pay.engine.lapse(str(pay.payment(order_id).reference))
    pay.hear(*pay.webhook(order_id))
    await pay.ask(VoidAskedV1(order_id))
    assert pay.payment(order_id).status is PaymentStatus.VOIDED
    with pytest.raises(PaymentStatusForbids):
        pay.shop.payments.run(pay_again, another_token_for(order_id), Metadata())


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


@pytest.mark.parametrize("path", ["/payment_intents", "/confirm"])
async def test_what_the_provider_does_not_take_for_our_fault_is_no_decline_and_is_done_when_it_is_mended(
    pay: Paying, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    pay.engine.expect("reject", path, times=3)
    order_id = uuid4()
    await pay.ask(AuthorisationAskedV1(order_id, uuid4(), "EUR", AMOUNT, "pm_card_visa", 1))
    with observing() as observed:
        with pytest.raises(ProviderUnavailable) as raised:
            await pay.deliver(order_id)
        [point] = observed.points("tandem.payment.provider_errors")
    assert is_away(raised.value), "so the delivery waits, and nothing becomes a dead letter"
    assert (point.attributes or {})["error.type"] == "invalid", "which the alarm payment-provider counts"
    [line] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert f"order {order_id} is not done" in line.getMessage()
    assert "does not take what we send: parameter_unknown of colour (req_" in line.getMessage()
    await tick(pay)
    assert pay.payment(order_id).status is PaymentStatus.REQUESTED
    pay.engine.heal()
    for _ in range(2):  # to open, and to authorise
        await tick(pay)
    assert pay.payment(order_id).status is PaymentStatus.AUTHORISED
    assert pay.moved(order_id) == [("authorised", 4980)]


@pytest.mark.parametrize(
    ("path", "asked", "moved"),
    [
        ("/capture", CaptureAskedV1, "captured"),
        ("/cancel", VoidAskedV1, "voided"),
        ("/refunds", lambda order_id: RefundAskedV1(order_id, uuid4(), None, None), "refunded"),
    ],
)
async def test_a_later_step_that_the_provider_does_not_take_for_our_fault_is_done_when_it_is_mended(
    pay: Paying, path: str, asked: Callable[[UUID], FulfilmentEvent], moved: str
) -> None:
    order_id = await (pay.captured() if path == "/refunds" else pay.authorisation())
    pay.engine.expect("reject", path, times=3)
    await pay.ask(asked(order_id))
    with pytest.raises(RequestInvalid):
        await pay.deliver(order_id)
    await tick(pay)
    pay.engine.heal()
    await tick(pay)
    assert pay.moved(order_id)[-1] == (moved, 4980)


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


async def test_a_due_step_waits_for_no_payments_of_which_nothing_is_due(
    pay: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(PAGE):
        await pay.authorisation()
    refunded = await pay.captured()
    await pay.ask(RefundAskedV1(refunded, uuid4(), None, None))
    past = datetime.now(UTC) - timedelta(hours=1)
    with pay.shop.payments_engine.begin() as connection:
        younger = sa.case((PAYMENTS.c.order_id == refunded, past), else_=past - timedelta(hours=1))
        connection.execute(sa.update(PAYMENTS).where(PAYMENTS.c.look_at.is_not(None)).values(look_at=younger))
    monkeypatch.setattr(perform_due, "TICK", 0.01)  # a page of looks takes longer
    await do(pay.context, "look_after_payments")
    assert pay.moved(refunded)[-1] == ("refunded", 4980)


async def test_a_webhook_about_a_payment_that_a_restore_has_lost_is_told_in_the_log(
    pay: Paying, caplog: pytest.LogCaptureFixture
) -> None:
    lost, known = uuid4(), await pay.captured()
    for order_id in (lost, known):
        pay.hear(*pay.webhook(order_id))
    told = [line for line in caplog.messages if line.startswith("no payment of order")]
    assert told == [f"no payment of order {lost} is known here, of which the provider or a message tells"]


async def test_what_the_bank_let_go_is_found_out_without_a_webhook(pay: Paying) -> None:
    order_id = await pay.authorisation()
    before = datetime.now(UTC)
    await tick(pay)
    assert before + HELD_LOOKED_AT_AFTER <= _look_at(pay, order_id) <= datetime.now(UTC) + HELD_LOOKED_AT_AFTER
    assert pay.payment(order_id).status is PaymentStatus.AUTHORISED
    pay.engine.lapse(str(pay.payment(order_id).reference))
    await tick(pay)
    assert pay.payment(order_id).status is PaymentStatus.LAPSED


async def test_a_look_at_a_held_amount_that_failed_is_made_again_soon(pay: Paying) -> None:
    order_id = await pay.authorisation()
    with pay.shop.payments_engine.begin() as connection:
        connection.execute(sa.update(PAYMENTS).values(changed_at=datetime.now(UTC) - HELD_LOOKED_AT_AFTER))
    await tick(without_provider(pay))
    assert _look_at(pay, order_id) <= datetime.now(UTC) + LATEST
    pay.engine.lapse(str(pay.payment(order_id).reference))
    await tick(pay)
    assert pay.payment(order_id).status is PaymentStatus.LAPSED


async def test_another_card_that_the_browser_tried_is_found_out_without_a_webhook(pay: Paying) -> None:
    order_id, reference, secret = await not_authenticated(pay)
    for _ in range(2):
        await tick(pay)
    assert pay.payment(order_id).status is PaymentStatus.DECLINED
    pay.engine.confirm(reference, secret)
    await tick(pay)
    assert pay.payment(order_id).status is PaymentStatus.AUTHORISED


async def test_a_declined_payment_is_looked_at_now_and_then_until_its_order_ends_or_nobody_can_want_it(
    pay: Paying,
) -> None:
    before = datetime.now(UTC)
    declined, cancelled = [await pay.authorisation("pm_card_visa_chargeDeclined") for _ in range(2)]
    for _ in range(2):
        assert before + DECLINED_LOOKED_AT_AFTER <= _look_at(pay, declined)
        assert _look_at(pay, declined) <= datetime.now(UTC) + DECLINED_LOOKED_AT_AFTER
        await tick(pay)
    await tick(without_provider(pay))
    assert _look_at(pay, declined) <= datetime.now(UTC) + SOONEST
    await pay.ask(VoidAskedV1(cancelled))
    await pay.deliver(cancelled)
    with pay.shop.payments_engine.begin() as connection:
        connection.execute(sa.update(PAYMENTS).values(changed_at=before - DECLINED_LOOKED_AT_FOR))
    await tick(pay)
    assert _looks_at(pay) == []


async def test_an_amount_that_the_provider_does_not_take_is_looked_at_by_nobody(pay: Paying) -> None:
    order_id = await pay.authorisation(amount=Decimal(10) ** 9)
    assert (pay.payment(order_id).status, pay.payment(order_id).reference) == (PaymentStatus.DECLINED, None)
    assert _looks_at(pay) == []


def _look_at(pay: Paying, order_id: UUID) -> datetime:
    """When the timer looks at a payment again."""
    [at] = [at for looked_at, at in _looks_at(pay) if looked_at == order_id]
    return at


def _looks_at(pay: Paying) -> Sequence[tuple[UUID, datetime]]:
    """What the timer looks at, and when."""
    looks_at = sa.select(PAYMENTS.c.order_id, PAYMENTS.c.look_at).where(PAYMENTS.c.look_at.is_not(None))
    with pay.shop.payments_engine.connect() as connection:
        return [(row.order_id, row.look_at) for row in connection.execute(looks_at)]


async def test_the_timer_looks_at_what_waits_ever_more_seldom_and_at_nothing_before_its_time(pay: Paying) -> None:
    order_id = await pay.authorisation("pm_card_authenticationRequired")
    payment = pay.payment(order_id)
    assert payment.reference
    pay.engine.authenticate(payment.reference)
    await do(pay.context, "look_after_payments")
    assert pay.payment(order_id).status is PaymentStatus.ACTION_REQUIRED
    before = datetime.now(UTC)
    await tick(without_provider(pay))
    assert before + SOONEST <= _look_at(pay, order_id) <= datetime.now(UTC) + SOONEST
    changed = datetime.now(UTC) - timedelta(minutes=20)
    with pay.shop.payments_engine.begin() as connection:
        connection.execute(sa.update(PAYMENTS).values(changed_at=changed))
    before = datetime.now(UTC)
    await tick(without_provider(pay))
    after = datetime.now(UTC)
    assert before + (before - changed) / 4 <= _look_at(pay, order_id) <= after + (after - changed) / 4
    await tick(pay)
    assert pay.payment(order_id).status is PaymentStatus.AUTHORISED
