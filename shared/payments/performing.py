"""Performs a payment's due step: it asks the provider, and records the outcome. It may stop anywhere, and repeat."""

from typing import assert_never

from shared.payments.domain.payment import Authorise, Capture, Look, Open, Payment, Refund, Step, Void
from shared.payments.domain.provider import Declined, Gone, PaymentProvider


def perform(payment: Payment, step: Step, provider: PaymentProvider) -> None:
    """Perform one step, and record the outcome in the payment; the caller saves the payment.

    Raises:
        ProviderUnavailable: the payment is unchanged, and the step is tried again later.
    """
    match step:
        case Open():
            opened = provider.open(payment.order_id, step.attempt, payment.amount)
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
            provider.refund(_reference(payment), payment.order_id, step.refund_id, step.amount)
            payment.gave_back(step.refund_id)
        case _:
            assert_never(step)


def _reference(payment: Payment) -> str:
    if payment.reference is None:
        raise AssertionError("only opening is due before the provider knows of a payment")
    return payment.reference
