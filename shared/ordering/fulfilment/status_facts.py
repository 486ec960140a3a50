"""Maps the statuses of orders and payments to the facts that the process manager decides on."""

from shared.ordering.events import OrderPaymentStatus, OrderStatus
from shared.ordering.fulfilment.decisions import OrderFact, PaymentFact

ORDER_FACTS = {
    OrderStatus.CREATED: OrderFact.OPEN,
    OrderStatus.SUBMITTED: OrderFact.SUBMITTED,
    OrderStatus.CONFIRMED: OrderFact.CONFIRMED,
    OrderStatus.COMPLETED: OrderFact.COMPLETED,
    OrderStatus.CANCELLED: OrderFact.CANCELLED,
}
PAYMENT_FACTS = {
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
