"""Doing what a payment says is due: ask the provider, record what it did. Safe to repeat, and to die in, anywhere."""

from typing import assert_never

from shared.payments.domain.payment import Authorise, Capture, Look, Open, Payment, Refund, Step, Void
from shared.payments.domain.provider import Declined, Gone, PaymentProvider


def perform(payment: Payment, step: Step, provider: PaymentProvider) -> None:
    """Have one step done, and let the payment take in what came of it; the caller saves it.

    Raises:
        ProviderUnavailable: it is tried again later; the payment is unchanged.
    """
    match step:
        case Open():
            opened = provider.open(payment.order_id, payment.amount)
            if isinstance(opened, Declined):
                payment.settle(Gone() if payment.void_requested else opened)
            else:
                payment.opened(opened)
        case Authorise():
            payment.settle(provider.authorise(_reference(payment), payment.order_id, step.attempt, step.token))
        case Look():
            payment.settle(provider.look(_reference(payment)))
        case Capture():
            payment.settle(provider.capture(_reference(payment), payment.order_id))
        case Void():
            payment.settle(provider.void(_reference(payment), payment.order_id))
        case Refund():
            provider.refund(_reference(payment), step.refund_id, step.amount)
            payment.gave_back(step.refund_id)
        case _:
            assert_never(step)


def _reference(payment: Payment) -> str:
    if payment.reference is None:
        raise AssertionError("only opening is due before the provider knows of a payment")
    return payment.reference
