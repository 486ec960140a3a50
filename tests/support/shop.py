"""The write side of all contexts, without the rest of the system: on SQLite files, or on a server (database.py)."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from infra.sql.migrate import CONTEXTS
from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.domain.stock import stock_of
from shared.catalog.events import CatalogEvent, ProductEvent
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.frame.messaging.envelope import Metadata, Recorded
from shared.frame.sql.engines import sql_engine
from shared.frame.write_side.commands import WriteSide
from shared.ordering.commands.create_order import CreateOrder, Item, ShippingAddress, create_order
from tests.support.containers import OneGeneration
from tests.support.database import empty_database
from tests.support.wiring import Contexts, Wiring, contexts

SHIPPING = ShippingAddress(street="Hauptstraße 1", city="Köln", postal_code="50667", country="DE")


@dataclass
class Commits:
    """How often a context was told of a commit."""

    count: int = 0

    def __call__(self) -> None:
        """Note one more."""
        self.count += 1


@dataclass(frozen=True)
class Shop:
    """The contexts' engines, by schema, and write sides."""

    url: str
    engines: Mapping[str, sa.Engine]
    commits: Commits = field(default_factory=Commits)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def ordering_engine(self) -> sa.Engine:
        """The engine of ordering."""
        return self.engines["ordering"]

    @property
    def catalog_engine(self) -> sa.Engine:
        """The engine of the catalogue."""
        return self.engines["catalog"]

    @property
    def customers_engine(self) -> sa.Engine:
        """The engine of the customers."""
        return self.engines["customers"]

    @property
    def payments_engine(self) -> sa.Engine:
        """The engine of payments."""
        return self.engines["payments"]

    def wired(self, containers: Mapping[str, ContainerProxy] | None = None) -> Contexts:
        """The contexts as they declare themselves, with these containers for their read models."""
        return contexts(
            Wiring(
                self.engines,
                partial(OneGeneration, containers=containers or {}),
                lambda _: self.commits,
                environment=self.environment,
            )
        )

    @cached_property
    def _contexts(self) -> Contexts:
        return self.wired()

    @property
    def ordering(self) -> WriteSide:
        """Carries out ordering's commands."""
        return self._contexts["ordering"].writes

    @property
    def catalog(self) -> WriteSide:
        """Carries out the catalogue's commands."""
        return self._contexts["catalog"].writes

    @property
    def customers(self) -> WriteSide:
        """Carries out the customers' commands."""
        return self._contexts["customers"].writes

    @property
    def payments(self) -> WriteSide:
        """Carries out the commands of payments."""
        return self._contexts["payments"].writes

    def customer(self, name: str = "Ada") -> UUID:
        """Register a customer whom ordering knows."""
        command = RegisterCustomer(customer_id=uuid4(), name=name, email=f"{uuid4()}@example.org")
        self.customers.run(register_customer, command, Metadata())
        self.follow_customer(command.customer_id)
        return command.customer_id

    def product(self, price: str = "12.50", currency: str = "EUR", name: str = "Tea") -> UUID:
        """Add a product that ordering knows."""
        command = AddProduct(
            product_id=uuid4(), name=name, unit_price=Decimal(price), currency=currency, category="Things"
        )
        self.catalog.run(add_product, command, Metadata())
        self.follow_product(command.product_id)
        return command.product_id

    def order(self, *product_ids: UUID, customer_id: UUID | None = None, quantity: int = 1) -> UUID:
        """Create an order of these products."""
        command = CreateOrder(
            order_id=uuid4(),
            customer_id=customer_id or self.customer(),
            items=[Item(product_id=product_id, quantity=quantity) for product_id in product_ids],
            shipping_address=SHIPPING,
        )
        return self.ordering.run(create_order, command, Metadata()).aggregate_id

    def follow_customer(self, customer_id: UUID) -> None:
        """Let ordering take over all of a customer's events."""
        self._deliver("follow_customers", "customers", customer_id)

    def follow_product(self, product_id: UUID) -> None:
        """Let ordering take over all of a product's events."""
        self._deliver("follow_products", "catalog", product_id)

    def follow_order(self, order_id: UUID) -> None:
        """Let the catalogue take in all of an order's events."""
        self._deliver("follow_orders", "ordering", order_id)

    def follow_stock(self, product_id: UUID) -> None:
        """Let ordering take over all events of a product's stock."""
        self._deliver("follow_products", "catalog", stock_of(product_id))

    def fulfil(self, order_id: UUID) -> None:
        """Let an order's fulfilment take in all of the order's events."""
        self._deliver("fulfil_orders", "ordering", order_id)

    def _deliver(self, consumer: str, of: str, aggregate_id: UUID) -> None:
        """Give a consumer all events of an aggregate, as a subscription does; the loop is not the test's."""
        publisher = self._contexts[of]
        with publisher.engine.connect() as connection:
            history = publisher.log.history(connection, aggregate_id)
        [consume] = [
            each.consume for context in self._contexts.values() for each in context.consumers if each.name == consumer
        ]

        async def deliver() -> None:
            for recorded in history:
                await consume(recorded.envelope)

        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, deliver()).result()


def about_product(history: Iterable[Recorded[CatalogEvent]]) -> Iterator[ProductEvent]:
    """The events of a product's history, which are a product's."""
    return (cast("ProductEvent", recorded.event) for recorded in history)


@contextmanager
def running_shop(folder: Path) -> Iterator[Shop]:
    """An empty, migrated database, and its engines until the block ends."""
    with shop_at(empty_database(folder)) as shop:
        yield shop


@contextmanager
def shop_at(url: str) -> Iterator[Shop]:
    """The engines of a migrated database, until the block ends."""
    engines = {each.SCHEMA: sql_engine(url, each.SCHEMA) for each in CONTEXTS}
    try:
        yield Shop(url, engines)
    finally:
        for engine in engines.values():
            engine.dispose()


def rows(engine: sa.Engine, table: sa.Table) -> list[dict[str, object]]:
    """Everything that a table holds, by its primary key."""
    with engine.connect() as connection:
        found = connection.execute(sa.select(table).order_by(*table.primary_key.columns)).mappings()
        return [dict(row) for row in found]
