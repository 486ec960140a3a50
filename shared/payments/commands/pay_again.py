"""Pay an order with another token."""

from typing import Annotated

from pydantic import StringConstraints

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input
from shared.ordering.events import TOKEN_PATTERN
from shared.payments.repository import Payments
from shared.story import ORDER_ID

Token = Annotated[str, StringConstraints(pattern=TOKEN_PATTERN)]
"""A token: the payment provider's id of a card, such as pm_1MqLiJLkdIwHu7ixUEgbFdYF; never a card's number."""


class PayAgain(Input, json_schema_extra=example(orderId=ORDER_ID, token="pm_card_visa")):  # noqa: S106  # a test token
    """Try another token after a decline, after a hold has lapsed, or while `status` is `actionRequired`; 10 at most.

    If the cardholder authenticates before the other card is confirmed, the first card pays, and the other one does not.

    ETag and If-Match are those of the payment, not of the order.
    """

    order_id: Id
    token: Token


def pay_again(command: PayAgain, payments: Payments) -> Accepted:
    """Try it; refused as Payment.try_another says."""
    payment = payments.load(command.order_id)
    payment.try_another(command.token)
    return payments.save(payment)
