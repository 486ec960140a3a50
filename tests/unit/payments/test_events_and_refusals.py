"""What the events of a payment tell, and how its refusals read."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import pytest

from shared.kernel.refusals import InputError, Refusal
from shared.payments.domain.errors import PaymentStatusForbids, RefundTooLarge, TooManyAttempts, TooManyRefunds
from shared.payments.domain.payment import MAX_ATTEMPTS, MAX_REFUNDS, Payment
from shared.payments.domain.provider import ActionRequired, Gone
from shared.payments.events import (
    DeclineReason,
    PaymentActionRequiredV1,
    PaymentAuthorisedV1,
    PaymentCapturedV1,
    PaymentCaptureRequestedV1,
    PaymentDeclinedV1,
    PaymentErasedV1,
    PaymentEvent,
    PaymentLapsedV1,
    PaymentOpenedV1,
    PaymentRefundedV1,
    PaymentRefundRequestedV1,
    PaymentRequestedV1,
    PaymentVoidedV1,
    PaymentVoidRequestedV1,
)
from tests.unit.payments.test_payment import AMOUNT, CUSTOMER, ORDER, POOR, STATES, VERBS, captured, requested, settled

REFUND, ANOTHER = UUID(int=1), UUID(int=2)
PAID = ("EUR", AMOUNT.amount)
TEN = ("EUR", Decimal(10))
BEGUN: list[PaymentEvent] = [PaymentRequestedV1(ORDER, CUSTOMER, *PAID, "pm_1", 1), PaymentOpenedV1(ORDER, "pi_1")]
TAKEN: list[PaymentEvent] = [
    *BEGUN,
    PaymentAuthorisedV1(ORDER, *PAID, 1),
    PaymentCaptureRequestedV1(ORDER),
    PaymentCapturedV1(ORDER, *PAID),
]


def test_the_events_of_a_payment_that_is_refunded_name_it_and_what_moved() -> None:
    payment = captured()
    payment.request_refund(REFUND, Decimal(10), "broken")
    payment.gave_back(REFUND)
    told = [
        PaymentRefundRequestedV1(ORDER, REFUND, *TEN, "broken"),
        PaymentRefundedV1(ORDER, REFUND, *TEN, Decimal(10)),
    ]
    assert list(payment.pending_events) == [*TAKEN, *told]


def test_the_events_of_a_payment_that_is_declined_tried_again_and_voided_name_it_and_the_attempt() -> None:
    payment = settled(POOR)
    payment.try_another("pm_2")
    payment.settle(ActionRequired())
    payment.request_void()
    payment.request_void()
    payment.settle(Gone())
    payment.request_void()
    assert list(payment.pending_events) == [
        *BEGUN,
        PaymentDeclinedV1(ORDER, 1, DeclineReason.INSUFFICIENT_FUNDS),
        PaymentRequestedV1(ORDER, CUSTOMER, *PAID, "pm_2", 2),
        PaymentActionRequiredV1(ORDER, 2),
        PaymentVoidRequestedV1(ORDER),
        PaymentVoidedV1(ORDER),
    ]


def test_a_payment_that_is_let_go_by_the_provider_lapses() -> None:
    payment = requested()
    payment.settle(Gone())
    assert list(payment.pending_events) == [*BEGUN, PaymentLapsedV1(ORDER)]


def test_a_payment_is_erased_once_and_no_reason_of_a_refund_is_kept_from_then_on() -> None:
    payment = captured()
    payment.erase()
    payment.erase()
    payment.request_refund(REFUND, Decimal(10), "Ada's cup was broken")
    told = [PaymentErasedV1(ORDER), PaymentRefundRequestedV1(ORDER, REFUND, *TEN, None)]
    assert list(payment.pending_events) == [*TAKEN, *told]


@pytest.mark.parametrize(
    ("state", "verb", "rule"),
    [
        (
            "captured",
            "try another",
            "captured; only one that is actionRequired, declined or lapsed can be tried with another token",
        ),
        ("declined", "capture", "declined; only one that is authorised can be captured"),
        ("captured", "void", "captured; only one that is not captured can be voided"),
        ("authorised", "refund", "authorised; only one that is captured can be refunded"),
    ],
)
def test_a_refusal_says_how_the_payment_is_and_how_it_would_have_to_be(state: str, verb: str, rule: str) -> None:
    assert why(STATES[state](), VERBS[verb], PaymentStatusForbids) == (f"The payment of order {ORDER} is {rule}.", ())


def test_a_refusal_says_that_the_payment_is_being_voided() -> None:
    payment = STATES["authorised"]()
    payment.request_void()
    rule = "being voided; only one that is authorised can be captured"
    assert why(payment, VERBS["capture"], PaymentStatusForbids)[0] == f"The payment of order {ORDER} is {rule}."


def test_a_refund_that_is_refused_says_what_can_be_given_back() -> None:
    payment = captured()
    assert why(payment, lambda it: it.request_refund(REFUND, Decimal(50)), RefundTooLarge) == (
        f"Of the payment of order {ORDER} 49.80 EUR can be given back.",
        (InputError("/amount", "is more than 49.80 EUR"),),
    )
    assert why(payment, lambda it: it.request_refund(REFUND, Decimal(0)), Refusal) == (
        "A refund is a positive amount with the digits of its currency.",
        (InputError("/amount", "is no positive amount of EUR"),),
    )
    payment.request_refund(REFUND)
    assert why(payment, lambda it: it.request_refund(ANOTHER), RefundTooLarge) == (
        f"All of the payment of order {ORDER} has been given back.",
        (),
    )


def test_a_refund_too_many_says_how_many_there_may_be() -> None:
    payment = captured()
    for number in range(MAX_REFUNDS):
        payment.request_refund(UUID(int=number), Decimal("0.01"))
    rule = f"The payment of order {ORDER} has {MAX_REFUNDS} refunds, and takes no more."
    assert why(payment, lambda it: it.request_refund(UUID(int=MAX_REFUNDS)), TooManyRefunds) == (rule, ())


def test_an_attempt_too_many_says_how_many_there_may_be() -> None:
    payment = settled(POOR)
    for _ in range(MAX_ATTEMPTS - 1):
        payment.try_another("pm_2")
        payment.settle(POOR)
    rule = f"The payment of order {ORDER} was tried with {MAX_ATTEMPTS} tokens."
    assert why(payment, VERBS["try another"], TooManyAttempts) == (rule, ())


def why(payment: Payment, verb: Callable[[Payment], None], kind: type[Refusal]) -> tuple[str, tuple[InputError, ...]]:
    """What it says when it refuses."""
    with pytest.raises(kind) as refused:
        verb(payment)
    return refused.value.detail, refused.value.errors
