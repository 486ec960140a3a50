"""Ordering: its commands, read models, queries, and the contexts whose events it follows."""

from datetime import timedelta
from uuid import UUID

from shared.catalog import events as catalog
from shared.customers import events as customers
from shared.frame.app import App
from shared.frame.context import Context
from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.event_types import EventTypes
from shared.frame.platform.jobs import Tick
from shared.frame.platform.output import Answer
from shared.frame.read_side.read_model import ReadAt
from shared.frame.routes import Created
from shared.ordering.commands.add_item import add_item
from shared.ordering.commands.cancel_order import cancel_order
from shared.ordering.commands.change_shipping_address import change_shipping_address
from shared.ordering.commands.complete_order import complete_order
from shared.ordering.commands.confirm_order import confirm_order
from shared.ordering.commands.create_order import create_order
from shared.ordering.commands.move_deadline import move_deadline
from shared.ordering.commands.remove_item import remove_item
from shared.ordering.commands.submit_order import submit_order
from shared.ordering.event_handlers import follow_customers, follow_payments, follow_products
from shared.ordering.event_handlers.fulfil_order import FOLLOWED, FulfilOrder
from shared.ordering.events import ASKS, OrderCancelledV1, OrderConfirmedV1, OrderErasedV1, OrderEvent
from shared.ordering.finding import has_open_orders, next_orders_of, streams_of
from shared.ordering.fulfilment.decisions import Deadline
from shared.ordering.fulfilment.process_manager import ProcessManager
from shared.ordering.jobs.act_on_deadlines import Deadlines
from shared.ordering.jobs.erase_orders import erase_orders
from shared.ordering.metrics import ordering_metrics
from shared.ordering.tables import EVERY_TABLE, INBOX, LOG, SCHEMA
from shared.ordering.views import order_projection
from shared.ordering.views.customer_orders import list_orders
from shared.ordering.views.customer_summary import SUMMARY, read_summary
from shared.ordering.views.logged import summary_in_log
from shared.ordering.views.names import NameCorrections
from shared.ordering.views.order_documents import CustomerPartitions
from shared.ordering.views.order_history import Pasts
from shared.ordering.views.processes import Processes
from shared.payments import events as payments
from shared.roles import Role

PRODUCTS = EventCodec[catalog.CatalogEvent | catalog.AnswerToOrdering](catalog.ON_TOPIC, catalog.UPCASTS)
PAYMENTS = EventCodec[payments.PaymentEvent](payments.ON_TOPIC)
CUSTOMERS = EventCodec[customers.CustomerEvent](customers.ON_TOPIC)


class OrderCreated(Answer):
    """The id of the new order."""

    order_id: UUID


def ordering(app: App) -> Context[OrderEvent]:
    """Declare ordering; nothing connects yet."""
    context = Context(app, SCHEMA, LOG, "order-events", EVERY_TABLE, INBOX)
    write, read, of_customer = Role.ORDERS_WRITE, Role.ORDERS_READ, Role.CUSTOMERS_READ

    context.command(
        "post_order",
        "POST orders",
        create_order,
        role=write,
        own=True,
        created=Created(OrderCreated, "orders/{orderId}?customerId={customerId}"),
    )
    context.command("post_order_item", "POST orders/{orderId}/items", add_item, role=write, own=True)
    context.command("delete_order_item", "DELETE orders/{orderId}/items/{productId}", remove_item, role=write, own=True)
    context.command(
        "post_order_shipping_address",
        "POST orders/{orderId}/shipping-address",
        change_shipping_address,
        role=write,
        own=True,
    )
    context.command("post_order_submit", "POST orders/{orderId}/submit", submit_order, role=write, own=True)
    time_limits = {
        Deadline.STOCK: timedelta(days=app.number_setting("StockDeadlineDays", 14)),
        Deadline.PAYMENT: timedelta(hours=app.number_setting("PaymentDeadlineHours", 24)),
        Deadline.CONFIRMATION: timedelta(days=app.number_setting("ConfirmationDeadlineDays", 14)),
        Deadline.SETTLEMENT: timedelta(hours=app.number_setting("SettlementDeadlineHours", 24)),
    }
    process_manager = ProcessManager(time_limits)
    fulfil = FulfilOrder(process_manager)
    context.command("post_order_confirm", "POST orders/{orderId}/confirm", confirm_order, role=write)
    context.command("post_order_complete", "POST orders/{orderId}/complete", complete_order, role=write)
    context.command("post_order_cancel", "POST orders/{orderId}/cancel", cancel_order, role=write, own=True)

    context.owner_data(next_orders_of, has_open_orders, streams_of)
    context.job("erase_orders", lambda: erase_orders(context.engine, context.writes), every=Tick.WATCH)

    orders = context.read_model(
        "orders",
        container="orders",
        subscription="order-views",
        trigger="project_order",
        project=order_projection.project,
        reconsider=order_projection.reconsider,
        documents=CustomerPartitions(),
        shared_in_log={SUMMARY: summary_in_log},
        event_types=EventTypes.all_but(*ASKS),
        erasing=OrderErasedV1,
        read_at=_read_at,
    )
    pasts = Pasts(context.reader, keeper=context.engine)
    context.query("get_order", "orders/{orderId}", pasts.read_order, of=orders, role=read, own=True)
    context.query("get_order_history", "orders/{orderId}/history", pasts.read_history, of=orders, role=read)
    context.query("get_customer_orders", "customers/{customerId}/orders", list_orders, of=orders, role=read, own=True)
    context.query(
        "get_customer_summary", "customers/{customerId}/summary", read_summary, of=orders, role=of_customer, own=True
    )

    names = NameCorrections(orders.view.generations, context.reader, orders.projection)
    context.follows(
        "follow_products",
        "product-events",
        "ordering",
        PRODUCTS,
        fulfil.follow_product,
        names.correct_product,
        event_types=follow_products.FOLLOWED,
    )
    context.follows("fulfil_orders", "order-events", "fulfilment", LOG.codec, fulfil.follow_order, event_types=FOLLOWED)
    context.follows(
        "follow_payments",
        "payment-events",
        "ordering",
        PAYMENTS,
        follow_payments.follow_payment,
        event_types=follow_payments.FOLLOWED,
    )
    context.job("deadlines", Deadlines(context.writes, context.engine, process_manager).act, every=Tick.RELAY)
    context.metrics(ordering_metrics)
    processes = Processes(context.reader)
    context.table_query("get_processes", "ops/processes", processes.read_page, role=Role.OPS)
    context.table_query("get_process", "ops/processes/{orderId}", processes.read_one, role=Role.OPS)
    context.operation("post_process_deadline", "POST ops/processes/{orderId}/deadline", move_deadline)
    context.follows(
        "follow_customers",
        "customer-events",
        "ordering",
        CUSTOMERS,
        follow_customers.follow_customer,
        names.correct_customer,
        event_types=follow_customers.FOLLOWED,
    )

    context.external_subscriber("billing", OrderConfirmedV1, OrderCancelledV1)
    context.external_subscriber("shipping", OrderConfirmedV1, OrderCancelledV1)
    return context


def _read_at(order_id: str, customer_id: str) -> ReadAt:
    """Tell where an order, the content of its events, and its fulfilment are read."""
    return ReadAt(
        now=f"orders/{order_id}?customerId={customer_id}",
        then=f"orders/{order_id}?customerId={customer_id}&asOfVersion={{version}}",
        event=f"orders/{order_id}/history?afterVersion={{before}}&take=1",
        process=f"ops/processes/{order_id}",
    )
