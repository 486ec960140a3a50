"""Follow payments' events: record the state of its payment in an order."""

from typing import assert_never

from shared.frame.messaging.envelope import Recorded
from shared.frame.messaging.event_types import EventTypes
from shared.ordering.domain.errors import OrderNotFound
from shared.ordering.domain.order import OrderPayment
from shared.ordering.events import OrderPaymentStatus
from shared.ordering.repository import Orders
from shared.payments.events import (
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

FOLLOWED = EventTypes.all_but(
    PaymentOpenedV1, PaymentCaptureRequestedV1, PaymentVoidRequestedV1, PaymentRefundRequestedV1, PaymentErasedV1
)
"""Payments' events that make a difference to an order."""


def follow_payment(recorded: Recorded[PaymentEvent], orders: Orders) -> None:  # noqa: C901  # a case for each event
    """Apply one event to its order."""
    event, version = recorded.event, recorded.envelope.version
    try:
        order = orders.load(event.order_id)
    except OrderNotFound:
        return  # no order asked for this payment: an order exists before its payment
    if order.payment is None:
        return  # an order on account has none
    attempt, refunded = order.payment.attempt, order.payment.refunded
    match event:
        case PaymentRequestedV1():
            status, attempt = OrderPaymentStatus.REQUESTED, event.attempt
        case PaymentActionRequiredV1():
            status, attempt = OrderPaymentStatus.ACTION_REQUIRED, event.attempt
        case PaymentAuthorisedV1():
            status, attempt = OrderPaymentStatus.AUTHORISED, event.attempt
        case PaymentDeclinedV1():
            status, attempt = OrderPaymentStatus.DECLINED, event.attempt
        case PaymentCapturedV1():
            status, refunded = OrderPaymentStatus.CAPTURED, order.total - event.amount  # as PaymentRefundedV1.refunded
        case PaymentLapsedV1():
            status = OrderPaymentStatus.LAPSED
        case PaymentVoidedV1():
            status = OrderPaymentStatus.VOIDED
        case PaymentRefundedV1():
            refunded = event.refunded
            all_of_it = refunded == order.total
            status = OrderPaymentStatus.REFUNDED if all_of_it else OrderPaymentStatus.CAPTURED
        case (
            PaymentOpenedV1()
            | PaymentCaptureRequestedV1()
            | PaymentVoidRequestedV1()
            | PaymentRefundRequestedV1()
            | PaymentErasedV1()
        ):
            return  # not FOLLOWED
        case _:
            assert_never(event)
    order.take_payment(OrderPayment(version, status, attempt, refunded))
    if order.pending_events:
        orders.save(order)
