"""What is given back: once, never more than was paid, and told of when the provider refuses it."""

import json
from dataclasses import replace
from decimal import Decimal
from itertools import count
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
import stripe

from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.refusals import Invalid
from shared.ordering.events import RefundAskedV1, VoidAskedV1
from shared.payments.commands.refund_payment import RefundPayment
from shared.payments.domain.errors import RefundTooLarge
from shared.payments.domain.payment import PaymentStatus
from shared.payments.domain.provider import StepRefused
from shared.payments.jobs.perform_due import REFUNDING
from tests.support.pages import sections
from tests.support.paying import Paying, refunds_of, stripe_of, tick
from tests.support.stack import ROOT
from tests.support.traces import found

OPERATIONS = ROOT / "docs" / "operations.md"


async def hear_of(pay: Paying, order_id: UUID, heard: str) -> None:
    """Let payments look at one for any of the three reasons for which they do."""
    match heard:
        case "delivery":
            await pay.deliver(order_id)
        case "webhook":
            pay.hear(*pay.webhook(order_id))
        case _:
            await tick(pay)


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
    order_id = await pay.captured()
    intent = str(pay.payment(order_id).reference)
    stripe_of(pay).v1.refunds.create({"payment_intent": intent, "amount": 4000})  # as the shop may in its dashboard
    refused, made = uuid4(), uuid4()
    await pay.ask(RefundAskedV1(order_id, refused, Decimal("10.00"), "EUR"))
    await pay.ask(RefundAskedV1(order_id, made, Decimal("9.80"), "EUR"))
    await hear_of(pay, order_id, heard)
    assert list(pay.payment(order_id).refunds_due) == [refused]
    refusal = f"Refund of order {order_id} is not done: the provider refused the request:"
    assert sum(line.startswith(f"{refusal} no code (req_") for line in caplog.messages) == 1
    await hear_of(pay, order_id, heard)  # all of it is given back now
    assert any(line.startswith(f"{refusal} charge_already_refunded (req_") for line in caplog.messages)
    assert pay.moved(order_id)[2:] == [("refunded", 4000), ("refunded", 980)]


async def test_refunds_that_are_refused_slowly_keep_their_thread_for_a_while_alone(
    pay: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = await pay.captured()
    stripe_of(pay).v1.refunds.create({"payment_intent": str(pay.payment(order_id).reference), "amount": 4000})
    for amount in ("10.00", "10.00", "9.80"):
        await pay.ask(RefundAskedV1(order_id, uuid4(), Decimal(amount), "EUR"))
    with monkeypatch.context() as slow:
        clock = SimpleNamespace(monotonic=count(step=0.6 * REFUNDING).__next__)
        slow.setattr("shared.payments.jobs.perform_due.time", clock)
        with pytest.raises(StepRefused):
            pay.performing.perform(order_id)
    assert len(pay.payment(order_id).refunds_due) == 3, "the third one was not tried"
    pay.performing.perform(order_id)
    assert len(pay.payment(order_id).refunds_due) == 2


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
    await hear_of(pay, order_id, heard)
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
