"""Follow the fulfilment of orders: record its requests to payments, which are carried out later (perform_due.py).

An order that was erased has its payment erased too.
"""

from typing import assert_never

from shared.frame.messaging.envelope import Recorded
from shared.frame.messaging.retries import NotYet
from shared.kernel.money import Money
from shared.ordering.events import (
    AuthorisationAskedV1,
    CaptureAskedV1,
    FulfilmentEvent,
    OrderErasedV1,
    OrderEvent,
    RefundAskedV1,
    VoidAskedV1,
)
from shared.payments.domain.payment import Payment, PaymentStatus
from shared.payments.repository import Payments


class NotRequestedYet(NotYet):
    """The first request to the payment of an order has not arrived."""


def follow_fulfilment(recorded: Recorded[OrderEvent | FulfilmentEvent], payments: Payments) -> None:
    """Record one request. Requests come in any order, and a repeated one changes nothing.

    Raises:
        NotRequestedYet: the first request has not arrived, so this one has to be delivered again.
    """
    event = recorded.event
    match event:
        case AuthorisationAskedV1():
            if payments.find(event.order_id) is None:  # later tokens are given to the payment itself
                amount = Money(event.amount, event.currency)
                payments.save(Payment.request(event.order_id, event.customer_id, amount, event.token))
            return
        case CaptureAskedV1() | VoidAskedV1() | RefundAskedV1():
            payment = payments.find(event.order_id)
            if payment is None:
                raise NotRequestedYet(event.order_id)
            _ask(payment, event)
            if payment.pending_events:
                payments.save(payment)
        case OrderErasedV1():
            erased = payments.find(event.order_id)
            if erased is not None and not erased.erased:  # an order on account has none
                erased.erase()
                payments.erase(erased)
        case _:
            pass  # orders' own events ask nothing of payments


def _ask(payment: Payment, event: CaptureAskedV1 | VoidAskedV1 | RefundAskedV1) -> None:
    match event:
        case CaptureAskedV1():
            # ordering has yet to learn that it is captured, or has lapsed and may be tried anew: then it asks again
            if payment.status not in (PaymentStatus.CAPTURED, PaymentStatus.LAPSED) and not _is_tried_anew(payment):
                payment.request_capture()
        case VoidAskedV1():
            payment.request_void()
        case RefundAskedV1():
            if event.amount is not None or payment.left.amount:
                payment.request_refund(event.refund_id, event.amount)
        case _:
            assert_never(event)


def _is_tried_anew(payment: Payment) -> bool:
    return payment.attempt > 1 and payment.status not in (PaymentStatus.AUTHORISED, PaymentStatus.VOIDED)
