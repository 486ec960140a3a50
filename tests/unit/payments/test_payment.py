"""What a payment takes in which state, what is due then, and what it makes of the provider's word."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from shared.kernel.money import Money
from shared.kernel.refusals import Invalid, Refusal
from shared.payments.domain.errors import PaymentStatusForbids, RefundTooLarge, TooManyAttempts, TooManyRefunds
from shared.payments.domain.payment import (
    MAX_ATTEMPTS,
    MAX_REFUNDS,
    Authorise,
    Capture,
    Look,
    Open,
    Payment,
    PaymentStatus,
    Refund,
    Step,
    Void,
)
from shared.payments.domain.provider import ActionRequired, Declined, Gone, Held, Outcome, Taken
from shared.payments.events import DeclineReason, PaymentRefundedV1

ORDER, CUSTOMER = uuid4(), uuid4()
AMOUNT = Money(Decimal("49.80"), "EUR")
POOR = Declined(DeclineReason.INSUFFICIENT_FUNDS)


def requested() -> Payment:
    payment = Payment.request(ORDER, CUSTOMER, AMOUNT, "pm_1")
    payment.opened("pi_1")
    return payment


def settled(outcome: Outcome) -> Payment:
    payment = requested()
    payment.settle(outcome)
    return payment


def captured() -> Payment:
    payment = settled(Held())
    payment.request_capture()
    payment.settle(Taken(AMOUNT))
    return payment


def voided() -> Payment:
    payment = settled(Held())
    payment.request_void()
    payment.settle(Gone())
    return payment


def due(payment: Payment) -> Step | None:
    return payment.due  # the type checker takes a property for unchanged


STATES: dict[str, Callable[[], Payment]] = {
    "requested": requested,
    "actionRequired": lambda: settled(ActionRequired()),
    "authorised": lambda: settled(Held()),
    "declined": lambda: settled(POOR),
    "captured": captured,
    "lapsed": lambda: settled(Gone()),
    "voided": voided,
}
VERBS: dict[str, Callable[[Payment], None]] = {
    "try another": lambda payment: payment.try_another("pm_2"),
    "capture": lambda payment: payment.request_capture(),
    "void": lambda payment: payment.request_void(),
    "refund": lambda payment: payment.request_refund(uuid4()),
}
TAKEN = {
    ("requested", "void"),
    ("actionRequired", "void"),
    ("actionRequired", "try another"),
    ("authorised", "void"),
    ("authorised", "capture"),
    ("declined", "void"),
    ("declined", "try another"),
    ("captured", "refund"),
    ("lapsed", "void"),
    ("lapsed", "try another"),
    ("voided", "void"),
}


def refused(payment: Payment, verb: Callable[[Payment], None], kind: type[Refusal]) -> None:
    """It refuses, and nothing has changed."""
    before, changes = {**vars(payment), "pending_events": None}, list(payment.pending_events)
    with pytest.raises(kind):
        verb(payment)
    assert {**vars(payment), "pending_events": None} == before
    assert payment.pending_events == changes


def test_every_state_is_looked_at() -> None:
    assert {make().status for make in STATES.values()} == set(PaymentStatus)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_taken_in_its_states_and_refused_in_all_others(state: str, verb: str) -> None:
    payment = STATES[state]()
    if (state, verb) in TAKEN:
        VERBS[verb](payment)
    else:
        refused(payment, VERBS[verb], PaymentStatusForbids)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("outcome", [Held(), Taken(AMOUNT), POOR, ActionRequired(), Gone(), None], ids=str)
def test_the_providers_word_is_taken_in_once_and_never_refused(state: str, outcome: Outcome | None) -> None:
    payment = STATES[state]()
    payment.settle(outcome)
    version = payment.version
    payment.settle(outcome)
    assert payment.version == version
    if state in {"captured", "voided", "lapsed"}:
        assert payment.status == state


@pytest.mark.parametrize("outcome", [Held(), ActionRequired()], ids=str)
def test_after_a_decline_another_card_in_the_browser_pays_unless_the_payment_is_to_be_voided(outcome: Outcome) -> None:
    payment = STATES["declined"]()
    payment.settle(outcome)
    payment.settle(Held())
    assert (payment.status, payment.attempt, due(payment)) == (PaymentStatus.AUTHORISED, 1, None)
    payment = STATES["declined"]()
    payment.request_void()
    payment.settle(outcome)
    assert (payment.status, due(payment)) == (PaymentStatus.DECLINED, Void())


@pytest.mark.parametrize("state", STATES)
def test_a_payment_is_the_fold_of_its_events(state: str) -> None:
    payment = STATES[state]()
    folded = Payment.fold(payment.pending_events)
    assert {**vars(folded), "pending_events": None} == {**vars(payment), "pending_events": None}
    assert due(folded) == due(payment)


def test_what_is_due_follows_the_payments_way() -> None:
    payment = Payment.request(ORDER, CUSTOMER, AMOUNT, "pm_1")
    assert due(payment) == Open(1)
    payment.opened("pi_1")
    payment.opened("pi_2")
    assert (payment.reference, due(payment)) == ("pi_1", Authorise(1, "pm_1"))
    payment.settle(POOR)
    assert (due(payment), payment.decline_reason) == (None, DeclineReason.INSUFFICIENT_FUNDS)
    payment.try_another("pm_2")
    assert due(payment) == Authorise(2, "pm_2")
    payment.settle(ActionRequired())
    assert due(payment) == Look(2)
    payment.try_another("pm_3")
    assert (payment.reference, due(payment)) == ("pi_1", Authorise(3, "pm_3"))
    payment.settle(ActionRequired())
    assert due(payment) == Look(3)
    payment.settle(Held())
    assert due(payment) is None
    payment.request_capture()
    assert due(payment) == Capture()
    payment.settle(Taken(AMOUNT))
    assert due(payment) is None
    refund = uuid4()
    payment.request_refund(refund, Decimal(10))
    assert due(payment) == Refund(refund, Money(Decimal(10), "EUR"))
    payment.gave_back(refund)
    payment.gave_back(refund)
    assert (due(payment), str(payment.refunded), str(payment.left)) == (None, "10.00", "39.80")


@pytest.mark.parametrize("state", ["requested", "actionRequired", "authorised", "declined"])
def test_what_is_to_be_voided_is_due_to_be_voided_and_takes_no_other_token(state: str) -> None:
    payment = STATES[state]()
    payment.request_void()
    payment.request_void()
    assert due(payment) == Void()
    refused(payment, VERBS["try another"], PaymentStatusForbids)
    payment.settle(Gone())
    assert payment.status is PaymentStatus.VOIDED


def test_a_void_that_crosses_an_authorisation_still_lets_go_what_is_held() -> None:
    payment = requested()
    payment.request_void()
    payment.settle(Held())
    assert (payment.status, due(payment)) == (PaymentStatus.AUTHORISED, Void())
    refused(payment, VERBS["capture"], PaymentStatusForbids)


def test_what_is_to_be_captured_is_not_voided_but_refunded_later() -> None:
    payment = settled(Held())
    payment.request_capture()
    refused(payment, VERBS["void"], PaymentStatusForbids)
    payment.settle(Taken(AMOUNT))
    payment.request_refund(uuid4())
    assert str(payment.left) == "0.00"


@pytest.mark.parametrize("state", ["requested", "actionRequired", "authorised", "declined"])
def test_what_the_shop_took_at_the_provider_before_the_void_is_captured_and_given_back(state: str) -> None:
    payment = STATES[state]()
    payment.request_void()
    payment.settle(Taken(AMOUNT))
    payment.request_void()  # the order's request may come again
    assert (payment.status, due(payment)) == (PaymentStatus.CAPTURED, None)
    refund = uuid4()
    payment.request_refund(refund)
    assert due(payment) == Refund(refund, AMOUNT)


@pytest.mark.parametrize("state", ["requested", "actionRequired", "declined"])
def test_what_the_shop_took_at_the_provider_unasked_was_held_for_it_and_is_captured_when_it_is_asked_for(
    state: str,
) -> None:
    payment = STATES[state]()
    payment.settle(Taken(AMOUNT))
    assert (payment.status, due(payment)) == (PaymentStatus.AUTHORISED, None)
    payment.request_capture()
    payment.settle(Taken(AMOUNT))
    assert payment.status is PaymentStatus.CAPTURED


def test_a_lapsed_payment_that_is_tried_anew_is_opened_anew_and_is_captured_only_when_that_is_asked_again() -> None:
    payment = settled(Held())
    payment.request_capture()
    payment.settle(Gone())
    payment.try_another("pm_2")
    assert (payment.reference, due(payment)) == (None, Open(2))
    payment.opened("pi_2")
    assert due(payment) == Authorise(2, "pm_2")
    payment.settle(Held())
    assert (payment.reference, due(payment)) == ("pi_2", None)
    payment.request_capture()
    assert due(payment) == Capture()


def test_a_lapsed_payment_that_is_voided_takes_no_other_token() -> None:
    payment = settled(Gone())
    for _ in range(2):
        payment.request_void()
    assert (payment.status, due(payment)) == (PaymentStatus.VOIDED, None)
    refused(payment, VERBS["try another"], PaymentStatusForbids)


def test_a_payment_that_is_unknown_to_the_provider_is_made_known_to_be_voided() -> None:
    payment = Payment.request(ORDER, CUSTOMER, AMOUNT, "pm_1")
    payment.request_void()
    assert due(payment) == Open(1)
    payment.opened("pi_1")
    assert due(payment) == Void()


def test_a_payment_that_no_card_can_pay_waits_for_another_token_or_its_void() -> None:
    payment = Payment.request(ORDER, CUSTOMER, AMOUNT, "pm_1")
    payment.settle(Declined(DeclineReason.NOT_ACCEPTED))
    assert due(payment) is None
    payment.request_void()
    assert due(payment) == Open(1)


def test_refunds_come_in_parts_and_never_to_more_than_was_taken() -> None:
    payment = captured()
    payment.request_refund(uuid4(), Decimal("49.79"))
    refused(payment, lambda it: it.request_refund(uuid4(), Decimal("0.02")), RefundTooLarge)
    payment.request_refund(uuid4(), Decimal("0.01"))
    refused(payment, lambda it: it.request_refund(uuid4()), RefundTooLarge)


def test_the_same_refund_again_changes_nothing() -> None:
    payment, refund = captured(), uuid4()
    payment.request_refund(refund, Decimal(10))
    version = payment.version
    payment.request_refund(refund, Decimal(10))
    assert payment.version == version


@pytest.mark.parametrize("amount", ["0", "-1", "0.001"])
def test_what_is_no_amount_of_the_currency_is_refused(amount: str) -> None:
    refused(captured(), lambda it: it.request_refund(uuid4(), Decimal(amount)), Invalid)


def test_attempts_are_bounded() -> None:
    payment = requested()
    for _ in range(MAX_ATTEMPTS - 1):
        payment.settle(POOR)
        payment.try_another("pm_2")
    payment.settle(POOR)
    refused(payment, VERBS["try another"], TooManyAttempts)


def test_refunds_are_bounded() -> None:
    payment = captured()
    for number in range(MAX_REFUNDS):
        payment.request_refund(UUID(int=number), Decimal("0.01"))
    refused(payment, VERBS["refund"], TooManyRefunds)


def test_each_refund_tells_how_much_was_given_back_so_far() -> None:
    payment, refunds = captured(), [uuid4(), uuid4()]
    for refund in refunds:
        payment.request_refund(refund, Decimal(10))
    for refund in refunds:
        payment.gave_back(refund)
    told = [event.refunded for event in payment.pending_events if isinstance(event, PaymentRefundedV1)]
    assert told == [Decimal(10), Decimal(20)]
