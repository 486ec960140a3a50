"""Refund a payment, or a part of it."""

from dataclasses import dataclass
from typing import Annotated
from uuid import uuid5

from pydantic import Field, StringConstraints

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Amount, Id, Input, Text
from shared.kernel.personal import PERSONAL
from shared.kernel.refusals import InputError, Invalid
from shared.payments.domain.errors import RefundAlreadyAsked
from shared.payments.domain.provider import PaymentProvider
from shared.payments.repository import Payments
from shared.story import ORDER_ID


class RefundPayment(Input, json_schema_extra=example(orderId=ORDER_ID, amount="10.00", reason="One cup was broken")):
    """Refund a part of an order's payment, or all that is left of it; 50 times at most.

    Send an `Idempotency-Key`: a request with the same key is the same refund.

    ETag and If-Match are those of the payment, not of the order.
    """

    order_id: Id
    amount: Amount | None = Field(default=None, description="in the order's currency; all that is left by default")
    reason: Annotated[Text, StringConstraints(min_length=1, max_length=500), PERSONAL]


@dataclass(frozen=True, slots=True)
class Refunding:
    """Refunds what the provider can refund."""

    provider: PaymentProvider

    def refund(self, command: RefundPayment, payments: Payments) -> Accepted:
        """Request the refund; refused as Payment.request_refund says, or because of digits the provider lacks."""
        payment = payments.load(command.order_id)
        refund_id = uuid5(command.order_id, payments.metadata.command_id)
        if refund_id in payment.refunds:
            raise RefundAlreadyAsked(f"The refund {refund_id} was asked for before.")
        payment.request_refund(refund_id, command.amount, command.reason)
        amount = payment.refunds[refund_id]
        if not self.provider.takes(amount):
            raise Invalid(
                "The payment provider cannot refund such an amount.",
                [InputError("/amount", f"has more digits of {amount.currency} than the payment provider takes")],
            )
        return payments.save(payment)
