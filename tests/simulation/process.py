"""One process of the function app: what it has in memory, and loses when it dies."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import sqlalchemy as sa

from shared.catalog import tables as catalog
from shared.catalog.views import product_details
from shared.catalog.views.products_source import ProductsSource
from shared.customers import tables as customers
from shared.messaging.envelope import Envelope
from shared.messaging.projection import Projection
from shared.operations.rebuilding import Rebuilding
from shared.ordering import tables as ordering
from shared.ordering.commands.follow_customers import follow_customer
from shared.ordering.commands.follow_products import follow_product
from shared.ordering.views import order_projection
from shared.ordering.views.names import Names
from shared.ordering.views.orders_source import OrdersSource
from shared.platform.cosmos import ReadModels
from shared.platform.generations import Generations
from shared.platform.views import View
from tests.simulation.read_models import FaultyReadModels
from tests.simulation.scheduler import Scheduler

SKEW = 0.5
"""Seconds by which a process's clock may be wrong when it keeps appointments."""


class Process:
    """Wired up as the functions.py of the contexts do it.

    Attributes:
        orders: the generations of the orders, as this process knows them.
        products: those of the products.
        consumers: what it does with a message of each subscription.
        rebuildings: how it rebuilds each view.
    """

    def __init__(self, scheduler: Scheduler, models: FaultyReadModels, engines: Mapping[str, sa.Engine]) -> None:
        skew = scheduler.random.uniform(-SKEW, SKEW)

        def clock() -> float:
            return scheduler.now.timestamp() + skew

        read_models = cast("ReadModels", models)
        self.orders = Generations(read_models, "orders", container="orders", clock=clock)
        self.products = Generations(read_models, "products", container="catalog", clock=clock)
        order_views = Projection(
            self.orders.written,
            engines["ordering"],
            ordering.LOG,
            order_projection.change,
            order_projection.reconsider,
        )
        product_views = Projection(self.products.written, engines["catalog"], catalog.LOG, product_details.change)
        names = Names(self.orders.written, engines["ordering"], order_views)

        async def project_order(envelope: Envelope) -> None:
            await order_views.project(ordering.CODEC.open(envelope))

        async def project_product(envelope: Envelope) -> None:
            await product_views.project(catalog.CODEC.open(envelope))

        async def follow_products(envelope: Envelope) -> None:
            recorded = catalog.CODEC.open(envelope)
            await asyncio.to_thread(follow_product, recorded, engines["ordering"])
            await names.follow_product(recorded)

        async def follow_customers(envelope: Envelope) -> None:
            recorded = customers.CODEC.open(envelope)
            await asyncio.to_thread(follow_customer, recorded, engines["ordering"])
            await names.follow_customer(recorded)

        self.consumers: dict[str, Callable[[Envelope], Awaitable[None]]] = {
            "order-views": project_order,
            "product-views": project_product,
            "ordering-products": follow_products,
            "ordering-customers": follow_customers,
        }
        views = (
            View(self.orders, OrdersSource(engines["ordering"], order_views)),
            View(self.products, ProductsSource(engines["catalog"], product_views)),
        )
        self.rebuildings = {view.name: Rebuilding(read_models, view, clock) for view in views}
