"""Events from the log to their consumers, as badly as it can go: shuffled, repeated, reordered, several at once."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.catalog import tables as catalog
from shared.customers import tables as customers
from shared.frame.messaging.envelope import Envelope
from shared.frame.write_side.relay import Relay
from shared.ordering import tables as ordering
from shared.ordering.reference_data import NotCopiedYet
from shared.payments import tables as payments
from tests.support.shop import Shop
from tests.support.topic import KeptTopic


@dataclass
class Delivery:
    """Takes events from the topics to their consumers, at random."""

    shop: Shop
    orders: ContainerProxy
    products: ContainerProxy
    related: ContainerProxy
    order_events: KeptTopic = field(default_factory=KeptTopic)
    product_events: KeptTopic = field(default_factory=KeptTopic)
    customer_events: KeptTopic = field(default_factory=KeptTopic)
    payment_events: KeptTopic = field(default_factory=KeptTopic)

    def __post_init__(self) -> None:
        wired = self.shop.wired({"orders": self.orders, "catalog": self.products, "related": self.related})
        self.consumers = {consumer.name: consumer for context in wired.values() for consumer in context.consumers}
        self.held: dict[str, int] = {}

    async def all(self, chance: random.Random) -> None:
        """Publish what is unpublished and deliver it, until nothing is left."""
        Relay(self.shop.ordering_engine, ordering.LOG, self.order_events).run()
        Relay(self.shop.catalog_engine, catalog.LOG, self.product_events).run()
        Relay(self.shop.customers_engine, customers.LOG, self.customer_events).run()
        Relay(self.shop.payments_engine, payments.LOG, self.payment_events).run()
        sent = {
            "order-events": self.order_events.sent,
            "product-events": self.product_events.sent,
            "customer-events": self.customer_events.sent,
            "payment-events": self.payment_events.sent,
        }
        pending = [
            (consumer.consume, envelope)
            for consumer in self.consumers.values()
            for envelope in sent[consumer.topic]
            for _ in range(chance.choice((1, 1, 2)))
        ]
        for topic in (self.order_events, self.product_events, self.customer_events, self.payment_events):
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

    async def consume(self, name: str, envelope: Envelope) -> None:
        """Give an event to the consumer of this name."""
        await self.consumers[name].consume(envelope)

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
