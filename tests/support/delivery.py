"""Events from the log to their consumers, as badly as it can go: shuffled, repeated, reordered, several at once."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.catalog import tables as catalog
from shared.catalog.views import product_details
from shared.customers import tables as customers
from shared.messaging.envelope import Envelope
from shared.messaging.projection import Projection
from shared.messaging.relay import Relay
from shared.ordering import tables as ordering
from shared.ordering.commands.follow_customers import follow_customer
from shared.ordering.commands.follow_products import follow_product
from shared.ordering.copies import NotCopiedYet
from shared.ordering.events import OrderEvent
from shared.ordering.views import order_projection
from shared.ordering.views.names import Names
from tests.support.containers import only
from tests.support.shop import Shop
from tests.support.topic import KeptTopic


@dataclass
class Delivery:
    """Takes events from the topics to their consumers, at random."""

    shop: Shop
    orders: ContainerProxy
    products: ContainerProxy
    order_events: KeptTopic = field(default_factory=KeptTopic)
    product_events: KeptTopic = field(default_factory=KeptTopic)
    customer_events: KeptTopic = field(default_factory=KeptTopic)

    def __post_init__(self) -> None:
        self.orders_projection = Projection[OrderEvent](
            only(self.orders),
            self.shop.ordering_engine,
            ordering.LOG,
            order_projection.change,
            order_projection.reconsider,
        )
        self.products_projection = Projection(
            only(self.products), self.shop.catalog_engine, catalog.LOG, product_details.change
        )
        self.names = Names(only(self.orders), self.shop.ordering_engine, self.orders_projection)
        self.held: dict[str, int] = {}

    async def all(self, chance: random.Random) -> None:
        """Publish what is unpublished and deliver it, until nothing is left."""
        Relay(self.shop.ordering_engine, ordering.LOG, self.order_events).run()
        Relay(self.shop.catalog_engine, catalog.LOG, self.product_events).run()
        Relay(self.shop.customers_engine, customers.LOG, self.customer_events).run()
        pending: list[tuple[Callable[[Envelope], Any], Envelope]] = [
            (consumer, envelope)
            for topic, consumers in (
                (self.order_events, [self._project_order]),
                (self.product_events, [self._project_product, self._follow_product]),
                (self.customer_events, [self._follow_customer]),
            )
            for envelope in topic.sent
            for consumer in consumers
            for _ in range(chance.choice((1, 1, 2)))
        ]
        for topic in (self.order_events, self.product_events, self.customer_events):
            topic.sent = chance.sample(topic.sent, len(topic.sent) // 8)  # some come again, much later
        chance.shuffle(pending)
        while pending:
            count = chance.randint(1, 4)
            now, pending = pending[:count], pending[count:]
            outcomes = await asyncio.gather(*(consumer(envelope) for consumer, envelope in now), return_exceptions=True)
            for delivery, outcome in zip(now, outcomes, strict=True):
                if isinstance(outcome, NotCopiedYet):
                    pending.append(delivery)  # as Service Bus delivers again what was not completed
                elif isinstance(outcome, BaseException):
                    raise outcome
            await self._no_version_goes_backwards()

    async def _project_order(self, envelope: Envelope) -> None:
        await self.orders_projection.project(ordering.CODEC.open(envelope))

    async def _project_product(self, envelope: Envelope) -> None:
        await self.products_projection.project(catalog.CODEC.open(envelope))

    async def _follow_product(self, envelope: Envelope) -> None:
        recorded = catalog.CODEC.open(envelope)
        await asyncio.to_thread(follow_product, recorded, self.shop.ordering_engine)
        await self.names.follow_product(recorded)

    async def _follow_customer(self, envelope: Envelope) -> None:
        recorded = customers.CODEC.open(envelope)
        await asyncio.to_thread(follow_customer, recorded, self.shop.ordering_engine)
        await self.names.follow_customer(recorded)

    async def _no_version_goes_backwards(self) -> None:
        for partition_key in map(str, _customers(self.shop.customers_engine)):
            found = self.orders.query_items(
                "SELECT c.id, c.version FROM c WHERE c.kind = 'order'", partition_key=partition_key
            )
            async for document in found:
                assert document["version"] >= self.held.get(document["id"], 0)
                self.held[document["id"]] = document["version"]


def _customers(engine: sa.Engine) -> Sequence[UUID]:
    with engine.connect() as connection:
        return connection.execute(sa.select(customers.CUSTOMERS.c.customer_id)).scalars().all()
