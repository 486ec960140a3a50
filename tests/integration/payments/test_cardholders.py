"""What a cardholder may do: authenticate, try another card, pay again; and who gets the secret for it."""

import asyncio
from urllib.error import HTTPError
from uuid import uuid4

import pytest

from infra.local.payments.running import TIMEOUT
from shared.frame.messaging.envelope import Metadata
from shared.frame.platform.callers import Requester
from shared.frame.read_side.read_your_writes import wait_for
from shared.ordering.events import CaptureAskedV1
from shared.payments import stripe_provider
from shared.payments.commands.pay_again import PayAgain, pay_again
from shared.payments.domain.errors import PaymentNotFound, PaymentStatusForbids
from shared.payments.domain.payment import PaymentStatus
from shared.payments.domain.provider import Outcome, ProviderUnavailable
from shared.payments.events import DeclineReason
from shared.payments.stripe_provider import StripeProvider
from shared.payments.views.order_payment import CONCURRENCY
from tests.support.paying import Paying, not_authenticated, until_asked, without_provider


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


async def test_whoever_leaves_their_banks_page_pays_with_another_card(pay: Paying) -> None:
    order_id = await pay.authorisation("pm_card_authenticationRequired")
    another = PayAgain(order_id=order_id, token="pm_card_visa")  # noqa: S106  # a test token
    pay.shop.payments.run(pay_again, another, Metadata())
    payment = await pay.deliver(order_id)
    assert (payment.status, payment.attempt) == (PaymentStatus.AUTHORISED, 2)
    pay.hear(*pay.webhook(order_id))  # that the first card waits for its holder: late
    await pay.ask(CaptureAskedV1(order_id))
    await pay.deliver(order_id)
    assert pay.moved(order_id) == [("authorised", 4980), ("captured", 4980)]


@pytest.mark.parametrize("bank_first", [True, False], ids=["the bank's answer first", "the other card first"])
async def test_the_banks_answer_and_another_card_at_once_come_to_one_authorisation(
    pay: Paying, monkeypatch: pytest.MonkeyPatch, *, bank_first: bool
) -> None:
    order_id = await pay.authorisation("pm_card_authenticationRequired")
    reference = str(pay.payment(order_id).reference)
    another = PayAgain(order_id=order_id, token="pm_card_visa")  # noqa: S106  # a test token
    look = StripeProvider.look

    def meanwhile(self: StripeProvider, asked: str) -> Outcome | None:
        """While a webhook looks, the customer gives another card; it may be confirmed before that look or after it."""
        monkeypatch.setattr(StripeProvider, "look", look)
        found = look(self, asked) if bank_first else None
        pay.shop.payments.run(pay_again, another, Metadata())
        if not bank_first:
            pay.performing.perform(order_id)
        return found or look(self, asked)

    if bank_first:
        pay.engine.authenticate(reference)
    monkeypatch.setattr(StripeProvider, "look", meanwhile)
    pay.hear(*pay.webhook(order_id))
    payment = await pay.deliver(order_id)
    assert (payment.status, payment.attempt) == (PaymentStatus.AUTHORISED, 2)
    with pytest.raises(HTTPError):
        pay.engine.authenticate(reference)
    assert pay.moved(order_id) == [("authorised", 4980)]


async def test_a_cardholder_alone_gets_the_secret_and_a_webhook_settles_it(pay: Paying) -> None:
    order_id = await pay.authorisation("pm_card_authenticationRequired")
    payment = pay.payment(order_id)
    assert payment.reference
    for caller in (None, uuid4()):
        shown = await pay.read(order_id, payment.customer_id, wait_for(5, Requester(caller)))
        assert (shown.status, shown.client_secret) == (PaymentStatus.ACTION_REQUIRED, None)
    theirs = wait_for(5, Requester(payment.customer_id))
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
    asking = [pay.payment(await pay.authorisation("pm_card_authenticationRequired")) for _ in range(CONCURRENCY)]
    other = await pay.authorisation()
    for each in asking:
        pay.engine.expect("hang", f"/{each.reference}")
    asked = [
        asyncio.create_task(pay.read(each.order_id, each.customer_id, wait_for(5, Requester(each.customer_id))))
        for each in asking
    ]
    await until_asked(pay.engine)
    read = asyncio.create_task(pay.read(other, pay.payment(other).customer_id))
    first, _ = await asyncio.wait({read, *asked}, return_when=asyncio.FIRST_COMPLETED)
    assert first == {read}
    assert read.result().status is PaymentStatus.AUTHORISED
    pay.engine.heal()
    assert all(shown.client_secret for shown in await asyncio.gather(*asked))


async def test_another_card_that_the_browser_tries_with_the_same_secret_pays(pay: Paying) -> None:
    order_id, reference, secret = await not_authenticated(pay)
    pay.hear(*pay.webhook(order_id))
    assert pay.payment(order_id).status is PaymentStatus.DECLINED
    with pytest.raises(HTTPError):
        pay.engine.confirm(reference, "pi_1_secret_guessed")
    pay.engine.confirm(reference, secret, "pm_card_visa_chargeDeclined")
    pay.hear(*pay.webhook(order_id))
    assert pay.payment(order_id).status is PaymentStatus.DECLINED
    pay.engine.confirm(reference, secret)
    pay.hear(*pay.webhook(order_id))
    payment = await pay.deliver(order_id)
    assert (payment.status, payment.attempt) == (PaymentStatus.AUTHORISED, 1)
    await pay.ask(CaptureAskedV1(order_id))
    await pay.deliver(order_id)
    assert pay.moved(order_id) == [("authorised", 4980), ("captured", 4980)]
