"""The write side of all contexts on SQLite files, without the rest of the system."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import sqlalchemy as sa

from infra.sql.migrate import migrate
from shared.catalog import tables as catalog
from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.repository import Products
from shared.customers import tables as customers
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.repository import Customers
from shared.messaging.envelope import Metadata
from shared.ordering import tables as ordering
from shared.ordering.commands.create_order import CreateOrder, Item, ShippingAddress, create_order
from shared.ordering.commands.follow_customers import follow_customer
from shared.ordering.commands.follow_products import follow_product
from shared.ordering.repository import Orders
from shared.platform.sql import sql_engine
from shared.platform.write_side import WriteSide

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
    """The contexts' engines and write sides."""

    url: str
    ordering_engine: sa.Engine
    catalog_engine: sa.Engine
    customers_engine: sa.Engine
    commits: Commits = field(default_factory=Commits)

    @property
    def ordering(self) -> WriteSide[Orders]:
        """Carries out ordering's commands."""
        return WriteSide(self.ordering_engine, ordering.LOG, Orders, self.commits)

    @property
    def catalog(self) -> WriteSide[Products]:
        """Carries out the catalogue's commands."""
        return WriteSide(self.catalog_engine, catalog.LOG, Products, self.commits)

    @property
    def customers(self) -> WriteSide[Customers]:
        """Carries out the customers' commands."""
        return WriteSide(self.customers_engine, customers.LOG, Customers, self.commits)

    def customer(self, name: str = "Ada") -> UUID:
        """Register a customer whom ordering knows."""
        command = RegisterCustomer(customer_id=uuid4(), name=name, email="ada@example.org")
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
        with self.customers_engine.connect() as connection:
            history = customers.LOG.history(connection, customer_id)
        for recorded in history:
            follow_customer(recorded, self.ordering_engine)

    def follow_product(self, product_id: UUID) -> None:
        """Let ordering take over all of a product's events."""
        with self.catalog_engine.connect() as connection:
            history = catalog.LOG.history(connection, product_id)
        for recorded in history:
            follow_product(recorded, self.ordering_engine)


@contextmanager
def running_shop(folder: Path) -> Iterator[Shop]:
    """Migrated databases in a folder, and their engines until the block ends."""
    url = f"sqlite:///{folder / 'tandem.db'}"
    migrate(url)
    engines = {schema: sql_engine(url, schema) for schema in ("ordering", "catalog", "customers")}
    try:
        yield Shop(url, engines["ordering"], engines["catalog"], engines["customers"])
    finally:
        for engine in engines.values():
            engine.dispose()


def rows(engine: sa.Engine, table: sa.Table) -> list[dict[str, object]]:
    """Everything that a table holds, by its primary key."""
    with engine.connect() as connection:
        found = connection.execute(sa.select(table).order_by(*table.primary_key.columns)).mappings()
        return [dict(row) for row in found]
