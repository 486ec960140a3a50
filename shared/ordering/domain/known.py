"""Maps the statuses of orders and payments to facts of the fulfilment."""

from shared.ordering.domain.fulfilment import OrderFact, PaymentFact
from shared.ordering.events import OrderPaymentStatus, OrderStatus

ORDERS = {
    OrderStatus.CREATED: OrderFact.UNKNOWN,
    OrderStatus.SUBMITTED: OrderFact.SUBMITTED,
    OrderStatus.CONFIRMED: OrderFact.CONFIRMED,
    OrderStatus.COMPLETED: OrderFact.COMPLETED,
    OrderStatus.CANCELLED: OrderFact.CANCELLED,
}
PAYMENTS = {
    OrderPaymentStatus.PENDING: PaymentFact.NONE,
    OrderPaymentStatus.REQUESTED: PaymentFact.ASKED,
    OrderPaymentStatus.ACTION_REQUIRED: PaymentFact.ACTION_REQUIRED,
    OrderPaymentStatus.DECLINED: PaymentFact.DECLINED,
    OrderPaymentStatus.AUTHORISED: PaymentFact.AUTHORISED,
    OrderPaymentStatus.CAPTURED: PaymentFact.CAPTURED,
    OrderPaymentStatus.LAPSED: PaymentFact.LAPSED,
    OrderPaymentStatus.VOIDED: PaymentFact.VOIDED,
    OrderPaymentStatus.REFUNDED: PaymentFact.REFUNDED,
}
