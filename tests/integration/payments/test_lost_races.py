"""News of the provider that lose a race against older news are not lost themselves."""

import itertools
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
import stamina

from shared.frame.write_side.unit_of_work import LostRace
from shared.payments.domain.payment import Payment, PaymentStatus
from shared.payments.domain.provider import Outcome
from shared.payments.jobs.perform_due import LOOKS
from shared.payments.repository import Payments
from shared.payments.stripe_provider import StripeProvider
from tests.support.paying import Paying, tick


async def hear(pay: Paying, order_id: UUID) -> None:
    pay.performing.hear(*pay.webhook(order_id))


async def look_after(pay: Paying, _order_id: UUID) -> None:
    await tick(pay)


@pytest.mark.parametrize("learn", [hear, look_after], ids=["webhook", "timer"])
async def test_a_hold_that_lapses_while_another_process_notes_it_is_noted_as_lapsed(
    pay: Paying, monkeypatch: pytest.MonkeyPatch, learn: Callable[[Paying, UUID], Awaitable[None]]
) -> None:
    order_id = await pay.authorisation("pm_card_authenticationRequired")
    reference = str(pay.payment(order_id).reference)
    pay.engine.authenticate(reference)
    look = StripeProvider.look
    looks = itertools.count(1)

    def late(self: StripeProvider, asked: str) -> Outcome | None:
        if next(looks) == 1:  # who looks has read the payment, and not asked yet
            pay.hear(*pay.webhook(order_id))
            assert pay.payment(order_id).status is PaymentStatus.AUTHORISED
            pay.engine.lapse(reference)
        return look(self, asked)

    monkeypatch.setattr(StripeProvider, "look", late)
    await learn(pay, order_id)
    assert pay.payment(order_id).status is PaymentStatus.LAPSED


async def test_a_webhook_whose_news_lose_every_race_is_not_taken_so_that_it_is_sent_again(
    pay: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = await pay.authorisation()
    pay.engine.lapse(str(pay.payment(order_id).reference))
    tries: list[Payment] = []

    def lost(_self: Payments, payment: Payment) -> None:
        tries.append(payment)
        raise LostRace

    with monkeypatch.context() as races, stamina.set_testing(True, attempts=LOOKS, cap=True):
        races.setattr(Payments, "save", lost)
        with pytest.raises(LostRace):
            pay.hear(*pay.webhook(order_id))
    assert len(tries) == LOOKS
    assert pay.payment(order_id).status is PaymentStatus.AUTHORISED
    pay.hear(*pay.webhook(order_id))
    assert pay.payment(order_id).status is PaymentStatus.LAPSED
