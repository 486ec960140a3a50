"""What operators are told of payments turns when it does, and turns back."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
import sqlalchemy as sa

from shared.ordering.events import AuthorisationAskedV1, CaptureAskedV1, RefundAskedV1, VoidAskedV1
from shared.payments.domain.provider import ProviderUnavailable
from shared.payments.metrics import OLDEST, PENDING_FOR
from shared.payments.tables import PAYMENTS
from tests.support.jobs import do
from tests.support.paying import Paying, stripe_of, without_provider
from tests.support.telemetry import observing


async def oldest(pay: Paying) -> float:
    with observing() as observed:
        await do(pay.shop.wired()["payments"], "payments figures")
        [point] = observed.points(OLDEST.name)
    return float(point.value)  # type: ignore[union-attr]  # it is a gauge


async def test_what_waits_for_a_cardholder_or_for_the_shipment_counts_only_when_the_provider_is_to_do_something(
    pay: Paying,
) -> None:
    waiting = await pay.authorisation("pm_card_authenticationRequired")
    held = await pay.authorisation()
    await pay.authorisation("pm_card_visa_chargeDeclined")
    assert await oldest(pay) == 0
    for asked in (VoidAskedV1(waiting), CaptureAskedV1(held)):
        await pay.ask(asked)
        assert await oldest(pay) > 0
        await pay.deliver(asked.order_id)
        assert await oldest(pay) == 0


async def test_a_refund_that_only_a_bank_has_yet_to_carry_out_counts_when_it_takes_too_long(pay: Paying) -> None:
    order_id = await pay.captured("pm_card_pendingRefund")
    await pay.ask(RefundAskedV1(order_id, uuid4(), Decimal("9.80"), "EUR"))
    assert await oldest(pay) > 0
    await pay.deliver(order_id)
    assert await oldest(pay) == 0
    intent = str(pay.payment(order_id).reference)
    stripe_of(pay).v1.refunds.create({"payment_intent": intent})  # all the rest, as the shop may in its dashboard
    await pay.ask(RefundAskedV1(order_id, uuid4(), Decimal("9.80"), "EUR"))
    await pay.deliver(order_id)
    assert await oldest(pay) > 0  # one is pending, and one is refused
    other = await pay.captured("pm_card_pendingRefund")
    await pay.ask(RefundAskedV1(other, uuid4(), None, None))
    await pay.deliver(other)
    with pay.shop.payments_engine.begin() as connection:
        long_ago = datetime.now(UTC) - PENDING_FOR - timedelta(hours=1)
        connection.execute(sa.update(PAYMENTS).where(PAYMENTS.c.order_id == other).values(changed_at=long_ago))
    assert await oldest(pay) > PENDING_FOR.total_seconds()


async def test_it_is_told_since_when_a_step_waits_and_what_waits_for_a_cardholder_does_not_count(pay: Paying) -> None:
    assert await oldest(pay) == 0
    asked = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", Decimal(5), "pm_card_visa", 1)
    await pay.ask(asked)
    assert await oldest(pay) > 0
    await pay.deliver(asked.order_id)
    assert await oldest(pay) == 0
    await pay.authorisation("pm_card_authenticationRequired")
    assert await oldest(pay) == 0


async def test_each_step_is_counted_and_each_that_the_provider_did_not_do(pay: Paying) -> None:
    asked = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", Decimal(5), "pm_card_visa_chargeDeclined", 1)
    await pay.ask(asked)
    with observing() as observed:
        with pytest.raises(ProviderUnavailable):
            await without_provider(pay).deliver(asked.order_id)
        await pay.deliver(asked.order_id)
        failed = observed.points("tandem.payment.provider_errors")
        steps = observed.points("tandem.payment.steps")
    assert [dict(point.attributes or {}) for point in failed] == [{"tandem.step": "Open", "error.type": "unavailable"}]
    assert [dict(point.attributes or {}) for point in steps] == [
        {"tandem.event": "PaymentOpenedV1"},
        {"tandem.event": "PaymentDeclinedV1", "error.type": "declined"},
    ]


async def test_a_step_that_the_provider_refuses_is_told_from_one_for_which_it_is_away(pay: Paying) -> None:
    order_id = await pay.captured()
    stripe_of(pay).v1.refunds.create({"payment_intent": str(pay.payment(order_id).reference)})
    await pay.ask(RefundAskedV1(order_id, uuid4(), None, None))
    with observing() as observed:
        await pay.deliver(order_id)
        [point] = observed.points("tandem.payment.provider_errors")
    assert dict(point.attributes or {}) == {"tandem.step": "Refund", "error.type": "refused"}
