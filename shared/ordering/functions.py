"""Ordering's way in: HTTP commands and queries, the events it projects, the events it follows, its relay."""

import asyncio
from typing import get_args
from uuid import UUID

import azure.functions as func

from shared.catalog.events import ProductEvent
from shared.customers.events import CustomerEvent
from shared.messaging.codec import EventCodec
from shared.messaging.envelope import Envelope
from shared.messaging.projection import Projection
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.create_order import CreateOrder, create_order
from shared.ordering.commands.follow_customers import follow_customer
from shared.ordering.commands.follow_products import follow_product
from shared.ordering.commands.remove_item import RemoveItem, remove_item
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.repository import Orders
from shared.ordering.tables import CODEC, LOG, SCHEMA
from shared.ordering.views import order_projection
from shared.ordering.views.customer_orders import CustomerOrders, ListOrders, list_orders
from shared.ordering.views.customer_summary import CustomerSummary, ReadSummary, read_summary
from shared.ordering.views.names import Names
from shared.ordering.views.order_details import OrderDetails, ReadOrder, read_order
from shared.ordering.views.order_history import OrderHistory, ReadHistory, read_history, read_order_of_the_past
from shared.ordering.views.orders_source import OrdersSource
from shared.platform.cosmos import ReadModels
from shared.platform.generations import Generations
from shared.platform.http.answers import created, done, found
from shared.platform.http.api import Api
from shared.platform.http.callers import Role
from shared.platform.http.requests import command_call, query_call
from shared.platform.outbox import Outbox
from shared.platform.output import Answer
from shared.platform.settings import Settings
from shared.platform.sql import context_engine, query_engine
from shared.platform.write_side import WriteSide

PRODUCTS = EventCodec[ProductEvent](get_args(ProductEvent.__value__))
CUSTOMERS = EventCodec[CustomerEvent](get_args(CustomerEvent.__value__))


class OrderCreated(Answer):
    """Which order was made."""

    order_id: UUID


def ordering(settings: Settings, read_models: ReadModels) -> Api:
    """Wire ordering up; nothing connects yet."""
    engine, reader = context_engine(settings, SCHEMA), query_engine(settings, SCHEMA)
    outbox = Outbox(settings, engine, LOG, SCHEMA, topic="order-events")
    writes = WriteSide(engine, LOG, Orders, committed=outbox.wake)

    orders = Generations(read_models, "orders", container="orders")
    projection = Projection(orders.written, reader, LOG, order_projection.change, order_projection.reconsider)
    names = Names(orders.written, reader, projection)
    api = Api("ordering")
    api.view(orders, OrdersSource(reader, projection))

    @api.command("POST", "orders", CreateOrder, role=Role.ORDERS_WRITE, customers=True, created=OrderCreated)
    def post_order(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, CreateOrder)
        accepted = writes.run(create_order, call.command, call.metadata)
        location = f"/api/orders/{accepted.aggregate_id}?customerId={call.command.customer_id}"
        return created(accepted, OrderCreated(order_id=accepted.aggregate_id), location)

    @api.command("POST", "orders/{orderId}/items", AddItem, role=Role.ORDERS_WRITE, customers=True)
    def post_order_item(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, AddItem)
        return done(writes.run(add_item, call.command, call.metadata))

    @api.command("DELETE", "orders/{orderId}/items/{productId}", RemoveItem, role=Role.ORDERS_WRITE, customers=True)
    def delete_order_item(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, RemoveItem)
        return done(writes.run(remove_item, call.command, call.metadata))

    @api.command("POST", "orders/{orderId}/submit", SubmitOrder, role=Role.ORDERS_WRITE, customers=True)
    def post_order_submit(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, SubmitOrder)
        return done(writes.run(submit_order, call.command, call.metadata))

    @api.command("POST", "orders/{orderId}/confirm", ConfirmOrder, role=Role.ORDERS_WRITE)
    def post_order_confirm(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, ConfirmOrder)
        return done(writes.run(confirm_order, call.command, call.metadata))

    @api.command("POST", "orders/{orderId}/complete", CompleteOrder, role=Role.ORDERS_WRITE)
    def post_order_complete(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, CompleteOrder)
        return done(writes.run(complete_order, call.command, call.metadata))

    @api.command("POST", "orders/{orderId}/cancel", CancelOrder, role=Role.ORDERS_WRITE, customers=True)
    def post_order_cancel(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, CancelOrder)
        return done(writes.run(cancel_order, call.command, call.metadata))

    @api.query("orders/{orderId}", ReadOrder, OrderDetails, role=Role.ORDERS_READ, customers=True)
    async def get_order(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadOrder)
        if call.query.of_the_past:
            return found(call, await asyncio.to_thread(read_order_of_the_past, reader, call.query))
        return found(call, *await read_order(await orders.served(), call.query, call.wait))

    @api.query("orders/{orderId}/history", ReadHistory, OrderHistory, role=Role.ORDERS_READ)
    async def get_order_history(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadHistory)
        return found(call, await read_history((await orders.served()).container, reader, call.query))

    @api.query("customers/{customerId}/orders", ListOrders, CustomerOrders, role=Role.ORDERS_READ, customers=True)
    async def get_customer_orders(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ListOrders)
        return found(call, await list_orders((await orders.served()).container, call.query, call.wait))

    @api.query("customers/{customerId}/summary", ReadSummary, CustomerSummary, role=Role.CUSTOMERS_READ, customers=True)
    async def get_customer_summary(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadSummary)
        return found(call, *await read_summary((await orders.served()).container, call.query, call.wait))

    @api.consumer("order-events", "order-views")
    async def project_order(envelope: Envelope) -> None:
        await projection.project(CODEC.open(envelope))

    @api.consumer("product-events", "ordering")
    async def follow_products(envelope: Envelope) -> None:
        recorded = PRODUCTS.open(envelope)
        await asyncio.to_thread(follow_product, recorded, engine)
        await names.follow_product(recorded)

    @api.consumer("customer-events", "ordering")
    async def follow_customers(envelope: Envelope) -> None:
        recorded = CUSTOMERS.open(envelope)
        await asyncio.to_thread(follow_customer, recorded, engine)
        await names.follow_customer(recorded)

    @api.blueprint.timer_trigger(arg_name="timer", schedule="%RelaySchedule%")
    def relay_order_events(timer: func.TimerRequest) -> None:
        outbox.sweep()

    return api
