"""A shop whose read models may be rebuilt, in a database of each test's own."""

import json
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID, uuid4

import pytest

from infra.local.containers import TOPOLOGY, create
from shared.catalog import tables as catalog
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.frame.messaging.envelope import Metadata, Recorded
from shared.frame.operations import rebuilding
from shared.frame.platform.settings import Settings
from shared.frame.read_side import generations
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.generations import Generations, State
from shared.kernel.refusals import Refusal
from shared.ordering import tables as ordering
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.events import OrderEvent
from shared.ordering.views.names import NameCorrections
from tests.support.shop import Shop
from tests.support.wiring import Wiring, contexts


@dataclass
class LiveShop:
    """A shop, and everything that keeps its read models, as one process has it.

    Attributes:
        clock: the process's time; if it stands still, the process never hears of a change.
    """

    shop: Shop
    read_models: CosmosDatabase
    chance: random.Random
    customers: list[UUID] = field(default_factory=list)
    products: list[UUID] = field(default_factory=list)
    made: list[UUID] = field(default_factory=list)
    owners: dict[UUID, UUID] = field(default_factory=dict)
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        known = partial(Generations, self.read_models, clock=self.clock)
        wired = contexts(Wiring(self.shop.engines, known, lambda _: self.shop.commits))
        orders, products = wired["ordering"].read_models["orders"], wired["catalog"].read_models["products"]
        self.orders_view, self.products_view = orders.view, products.view
        self.related_view = wired["catalog"].read_models["related"].view
        self.orders, self.catalog = orders.view.generations, products.view.generations
        self.projection, self.product_projection = orders.projection, products.projection
        self.names = NameCorrections(orders.view.generations, self.shop.ordering_engine, orders.projection)
        self.projected: dict[UUID, int] = {}

    async def open(self, customers: int, products: int, orders: int) -> None:
        """Have some customers, products and orders, projected."""
        self.customers = [self.shop.customer(f"customer {number}") for number in range(customers)]
        for number in range(products):
            self.products.append(self.shop.product(name=f"product {number}"))
            await self.project_product(self.products[-1])
        for _ in range(orders):
            await self.act()

    async def fill_a_standby(self) -> None:
        """Have a second generation of the orders, which is written too and shows the first order."""
        await self.orders.write(State(serving=1, standby=2))
        await self.orders._refresh()
        for recorded in self.history(self.made[0]):
            await self.projection.project(recorded)

    async def act(self) -> None:
        """Do something to an order or a product, and project it."""
        number = len(self.made)
        if not self.made or self.chance.random() < 0.4:
            wanted = self.chance.sample(self.products, 2)
            customer_id = self.chance.choice(self.customers)
            self.made.append(self.shop.order(*wanted, customer_id=customer_id))
            self.owners[self.made[-1]] = customer_id
            await self.project(self.made[-1])
        elif self.chance.random() < 0.1:
            product_id = self.chance.choice(self.products)
            rename = RenameProduct(product_id=product_id, name=f"renamed {number} {self.chance.random()}")
            self.shop.catalog.run(rename_product, rename, Metadata())
            await self.project_product(product_id)
        else:
            order_id = self.chance.choice(self.made)
            handler, command = self.chance.choice(
                [
                    (submit_order, SubmitOrder(order_id=order_id)),
                    (confirm_order, ConfirmOrder(order_id=order_id)),
                    (cancel_order, CancelOrder(order_id=order_id, reason="why not")),
                    (add_item, AddItem(order_id=order_id, product_id=self.chance.choice(self.products), quantity=1)),
                ]
            )
            try:
                self.shop.ordering.run(handler, command, Metadata())  # type: ignore[arg-type]  # each has its own command
            except Refusal:
                return
            await self.project(order_id)

    def history(self, order_id: UUID, after: int = 0) -> Sequence[Recorded[OrderEvent]]:
        """Read an order's events."""
        with self.shop.ordering_engine.connect() as connection:
            return ordering.LOG.history(connection, order_id, after=after)

    async def project(self, order_id: UUID) -> None:
        """Deliver what is new of an order; sometimes its last event alone, and sometimes twice."""
        new = self.history(order_id, after=self.projected.get(order_id, 0))
        for recorded in self.chance.choice((new, new[-1:], [*new, *new])):
            await self.projection.project(recorded)
        self.projected[order_id] = self.projected.get(order_id, 0) + len(new)

    async def project_product(self, product_id: UUID) -> None:
        """Deliver all events of a product, to both who follow it."""
        with self.shop.catalog_engine.connect() as connection:
            history = catalog.LOG.history(connection, product_id)
        self.shop.follow_product(product_id)
        for recorded in history:
            await self.product_projection.project(recorded)
            await self.names.correct_product(recorded)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that is decided be heard of within a second."""
    monkeypatch.setattr(generations, "FRESH", 0.05)
    monkeypatch.setattr(generations, "AGREED_WITHIN", 0.3)
    monkeypatch.setattr(generations, "TRUST", 0.4)
    monkeypatch.setattr(generations, "QUIET_BEFORE", 0.3)
    monkeypatch.setattr(generations, "QUIET_AFTER", 0.1)
    monkeypatch.setattr(rebuilding, "PROPAGATION_DELAY", 0.7)
    monkeypatch.setattr(rebuilding, "LEASE", 2.0)


@pytest.fixture
async def live(shop: Shop, read_models: str) -> AsyncIterator[LiveShop]:
    """A shop with a database of its own."""
    name = f"db-{uuid4()}"
    create(read_models, json.loads(TOPOLOGY.read_text(encoding="utf-8")) | {"database": name})
    models = CosmosDatabase(Settings(sql=shop.url, cosmos=read_models, service_bus="", cosmos_database=name))
    yield LiveShop(shop, models, random.Random(7))
    await models.close()
