"""Payments: requests of the fulfilment, calls of the provider, and commands of customers and clerks."""

from functools import partial

from shared.frame.app import App
from shared.frame.context import Context
from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.event_types import EventTypes
from shared.frame.platform.jobs import Tick
from shared.frame.sql.compaction import Compaction
from shared.ordering.events import ASKS, ON_TOPIC, UPCASTS, FulfilmentEvent, OrderErasedV1, OrderEvent
from shared.payments.commands.pay_again import pay_again
from shared.payments.commands.refund_payment import Refunding
from shared.payments.event_handlers.follow_fulfilment import follow_fulfilment
from shared.payments.events import PaymentEvent, PaymentRefundedV1
from shared.payments.jobs.perform_due import Performing
from shared.payments.metrics import payment_metrics
from shared.payments.repository import COUNT_ERASED, next_payments_of
from shared.payments.stripe_provider import StripeProvider
from shared.payments.tables import EVERY_TABLE, INBOX, LOG, SCHEMA
from shared.payments.views.order_payment import OrderPayments
from shared.roles import Role

ASKED = EventTypes.only(*ASKS, OrderErasedV1)
"""The events of ordering's topic that are requests to payments."""

ORDERS = EventCodec[OrderEvent | FulfilmentEvent](ON_TOPIC, UPCASTS)


def payments(app: App) -> Context[PaymentEvent]:
    """Declare payments; nothing connects yet."""
    context = Context(app, SCHEMA, LOG, "payment-events", EVERY_TABLE, INBOX)
    provider = app.service(StripeProvider.from_environment)

    context.follows("follow_fulfilment", "order-events", "payments", ORDERS, follow_fulfilment, event_types=ASKED)
    performing = Performing(context.engine, context.outbox.wake, provider)
    context.external_action("perform_due_payment", "payments-provider", performing.after)
    context.webhook("post_payment_webhook", "payments/webhook", provider.signature_header, performing.hear)
    context.job("look_after_payments", performing.look_after_payments, every=Tick.WATCH)
    context.metrics(payment_metrics)

    context.command("post_order_payment", "POST orders/{orderId}/payment", pay_again, role=Role.ORDERS_WRITE, own=True)
    refunding = Refunding(provider)
    context.command("post_order_refund", "POST orders/{orderId}/refund", refunding.refund, role=Role.PAYMENTS_WRITE)

    views = OrderPayments(context.reader, provider)
    context.table_query(
        "get_order_payment", "orders/{orderId}/payment", views.read_payment, role=Role.ORDERS_READ, own=True
    )
    context.owner_data(next_payments_of)
    context.job("forget_erased", partial(Compaction(COUNT_ERASED).run, context.engine), every=Tick.WATCH)
    context.external_subscriber("billing", PaymentRefundedV1)
    return context
