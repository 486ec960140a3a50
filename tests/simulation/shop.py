"""The shop: clients that order and retry, relays, consumers and a reader, all of them mortal."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, cast, override
from uuid import UUID

import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.catalog import tables as catalog
from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.repository import Products
from shared.catalog.views import product_details
from shared.customers import tables as customers
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.repository import Customers
from shared.kernel.refusals import Refusal
from shared.messaging.envelope import Accepted, Metadata
from shared.messaging.projection import Projection
from shared.messaging.relay import Relay, TopicUnreachable
from shared.messaging.wire import from_body
from shared.ordering import tables as ordering
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.create_order import CreateOrder, Item, ShippingAddress, create_order
from shared.ordering.commands.follow_customers import follow_customer
from shared.ordering.commands.follow_products import follow_product
from shared.ordering.commands.remove_item import RemoveItem, remove_item
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.repository import Orders
from shared.ordering.views import order_projection
from shared.ordering.views.customer_summary import SUMMARY
from shared.ordering.views.names import Names
from shared.platform.sql import is_transient
from shared.platform.write_side import LostRace, WriteSide
from tests.simulation.bus import FaultyTopic, Subscription, deliver
from tests.simulation.database import FaultyEngine, empty_database
from tests.simulation.read_models import FaultyContainer
from tests.simulation.scheduler import Crash, Scheduler
from tests.support.containers import only

ADDRESS = ShippingAddress(street="s", city="c", postal_code="p")


class OneThread(Executor):
    """Runs at once what a pool would run beside."""

    @override
    def submit[**P, R](self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        future: Future[R] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@dataclass(slots=True)
class Sent:
    """A command that a client sent until it was answered; `accepted` is None if it was refused."""

    key: str
    context: str
    handler: Callable[[Any, Any], Accepted]
    command: Any
    metadata: Metadata
    accepted: Accepted | None = None


@dataclass(slots=True)
class Seen:
    """The versions that a reader has seen of each document; `backwards` names those that went back or vanished."""

    versions: dict[str, int] = field(default_factory=dict)
    backwards: list[str] = field(default_factory=list)


class Shop:
    """One simulated shop."""

    def __init__(self, seed: int, fault_rate: float) -> None:
        self.scheduler = scheduler = Scheduler(seed, fault_rate)
        self.sent: list[Sent] = []
        self.committed = {"ordering": False, "catalog": False, "customers": False}
        self.turns_left = 400
        self.seen = Seen()
        self.orders = FaultyContainer("orders", "/customerId", scheduler)
        self.products = FaultyContainer("catalog", "/view", scheduler)
        self.engines = {tables.SCHEMA: empty_database(tables.SCHEMA) for tables in (ordering, catalog, customers)}
        self.subscriptions = {
            name: Subscription(name)
            for name in ("order-views", "product-views", "ordering-products", "ordering-customers")
        }
        subscriptions = self.subscriptions
        self.topics = {
            "ordering": FaultyTopic("ordering", [subscriptions["order-views"]], scheduler),
            "catalog": FaultyTopic(
                "catalog", [subscriptions["product-views"], subscriptions["ordering-products"]], scheduler
            ),
            "customers": FaultyTopic("customers", [subscriptions["ordering-customers"]], scheduler),
        }
        self.faulty = {
            tables.SCHEMA: cast("sa.Engine", FaultyEngine(self.engines[tables.SCHEMA], scheduler, tables.LOG))
            for tables in (ordering, catalog, customers)
        }
        self.writes: dict[str, WriteSide[Any]] = {
            "ordering": WriteSide(self.faulty["ordering"], ordering.LOG, Orders, partial(self._wake, "ordering")),
            "catalog": WriteSide(self.faulty["catalog"], catalog.LOG, Products, partial(self._wake, "catalog")),
            "customers": WriteSide(
                self.faulty["customers"], customers.LOG, Customers, partial(self._wake, "customers")
            ),
        }
        self.relays: dict[str, Relay[Any]] = {
            tables.SCHEMA: Relay(
                self.faulty[tables.SCHEMA], tables.LOG, self.topics[tables.SCHEMA], scheduler.clock, OneThread
            )
            for tables in (ordering, catalog, customers)
        }
        orders, products = cast("ContainerProxy", self.orders), cast("ContainerProxy", self.products)
        self.order_views = Projection(
            only(orders),
            self.faulty["ordering"],
            ordering.LOG,
            order_projection.change,
            order_projection.reconsider,
        )
        self.product_views = Projection(only(products), self.faulty["catalog"], catalog.LOG, product_details.change)
        self.names = Names(only(orders), self.faulty["ordering"], self.order_views)
        self.handlers: dict[str, Callable[[bytes], None]] = {
            "order-views": lambda body: self.scheduler.work(
                self.order_views.project(ordering.CODEC.open(from_body(body)))
            ),
            "product-views": lambda body: self.scheduler.work(
                self.product_views.project(catalog.CODEC.open(from_body(body)))
            ),
            "ordering-products": self._follow_product,
            "ordering-customers": self._follow_customer,
        }

    def run(self) -> None:
        """Let everybody act, with faults, and then finish what is left without."""
        scheduler = self.scheduler
        customer, items = self._open()
        for number in range(scheduler.random.randint(1, 3)):
            scheduler.spawn(f"client {number}", partial(self._client, f"client {number}", customer, items))
        for name in self.relays:
            for number in range(2):
                scheduler.spawn(f"relay {name} {number}", partial(self._relay, name))
        for name in self.subscriptions:
            for number in range(2 if name == "order-views" else 1):
                scheduler.spawn(f"consumer {name} {number}", partial(self._consume, name))
        scheduler.spawn("reader", self._read)
        scheduler.run(over=self._quiet, last="client")
        self.settle()

    def settle(self) -> None:
        """Publish and deliver everything, without faults; then an operator replays the dead letters, in any order.

        One whose predecessor is a dead letter too may need that to be replayed first: so again, as long as it helps.
        """
        self.scheduler.now += timedelta(hours=1)  # every claim has run out
        while any(relay.run() for relay in self.relays.values()):
            self.scheduler.now += timedelta(minutes=1)
        self._deliver_all()
        for subscription in self.subscriptions.values():
            helps = True
            while subscription.dead and helps:
                dead, subscription.dead = subscription.dead, []
                for message in self.scheduler.random.sample(dead, len(dead)):
                    message.deliveries = 0
                    subscription.sessions[message.session].append(message)
                    self._deliver_all()
                helps = len(subscription.dead) < len(dead)

    def _deliver_all(self) -> None:
        for name, subscription in self.subscriptions.items():
            while deliver(subscription, self.handlers[name], self.scheduler):
                pass

    def send(self, sent: Sent) -> None:
        """Send a command as a careful client does: with its key, until it is answered."""
        self.sent.append(sent)
        for _ in range(1_000):
            try:
                sent.accepted = self.writes[sent.context].run(sent.handler, sent.command, sent.metadata)
            except Refusal:
                return
            except Crash:
                continue
            except (LostRace, sa.exc.DBAPIError) as error:
                if not isinstance(error, LostRace) and not is_transient(error):
                    raise
                continue
            return
        raise AssertionError(f"{sent.key} was never answered")

    def _open(self) -> tuple[UUID, list[UUID]]:
        customer, items = self.scheduler.uuid(), [self.scheduler.uuid() for _ in range(3)]
        registration = RegisterCustomer(customer_id=customer, name="n0", email="a@b.org")
        self.send(self._command("customers", register_customer, registration))
        for number, item in enumerate(items):
            self.send(self._command("catalog", add_product, _product(item, Decimal(f"{number}.37"))))
        self.settle()
        return customer, items

    def _command(self, context: str, handler: Callable[[Any, Any], Accepted], command: Any) -> Sent:
        number = len(self.sent)
        fingerprint = hashlib.sha256(repr(command).encode()).digest()
        metadata = Metadata(f"command-{number}", fingerprint, correlation_id="c", at=self.scheduler.clock())
        return Sent(metadata.command_id, context, handler, command, metadata)

    def _client(self, name: str, customer: UUID, products: list[UUID]) -> None:
        chance = self.scheduler.random
        mine: list[UUID] = []
        for number in range(chance.randint(3, 8)):
            order = chance.choice(mine) if mine and chance.random() < 0.8 else None
            product = chance.choice(products)
            context = "ordering"
            kind = chance.choice(
                [
                    "add",
                    "add",
                    "remove",
                    "submit",
                    "submit",
                    "confirm",
                    "complete",
                    "cancel",
                    "rename",
                    "price",
                    "new product",
                ]
            )
            handler: Callable[[Any, Any], Accepted]
            command: Any
            if order is None:
                order = self.scheduler.uuid()
                mine.append(order)
                wanted = [Item(product_id=product, quantity=chance.randint(1, 3))]
                handler = create_order
                command = CreateOrder(order_id=order, customer_id=customer, items=wanted, shipping_address=ADDRESS)
            elif kind == "add":
                handler, command = add_item, AddItem(order_id=order, product_id=product, quantity=chance.randint(1, 3))
            elif kind == "remove":
                handler, command = remove_item, RemoveItem(order_id=order, product_id=product)
            elif kind == "submit":
                handler, command = submit_order, SubmitOrder(order_id=order)
            elif kind == "confirm":
                handler, command = confirm_order, ConfirmOrder(order_id=order)
            elif kind == "complete":
                handler, command = complete_order, CompleteOrder(order_id=order)
            elif kind == "cancel":
                handler, command = cancel_order, CancelOrder(order_id=order, reason="r")
            elif kind == "new product":
                context = "catalog"
                products.append(self.scheduler.uuid())
                handler, command = add_product, _product(products[-1], Decimal("4.20"))
            elif kind == "price":
                context = "catalog"
                price = Decimal(chance.randint(0, 999)).scaleb(-2)
                handler, command = change_price, ChangePrice(product_id=product, unit_price=price)
            elif chance.random() < 0.5:
                context = "catalog"
                handler, command = rename_product, RenameProduct(product_id=product, name=f"{name} {number}")
            else:
                context = "customers"
                handler, command = rename_customer, RenameCustomer(customer_id=customer, name=f"{name} {number}")
            self.send(self._command(context, handler, command))

    def _wake(self, context: str) -> None:
        self.committed[context] = True

    def _quiet(self) -> bool:
        """Whether there is nothing left to do but for what waits out a dead relay's claim."""
        self.turns_left -= 1
        waiting = any(messages for each in self.subscriptions.values() for messages in each.sessions.values())
        return self.turns_left < 0 or not (waiting or any(self.committed.values()))

    def _relay(self, name: str) -> None:
        while not self.scheduler.closing:
            self.scheduler.pause()
            if not self.committed[name]:
                continue
            self.committed[name] = False
            try:
                self.relays[name].run()
            except (Crash, TopicUnreachable, sa.exc.DBAPIError, LostRace):
                self.committed[name] = True  # the timer comes again

    def _consume(self, name: str) -> None:
        while not self.scheduler.closing:
            self.scheduler.pause()
            try:
                deliver(self.subscriptions[name], self.handlers[name], self.scheduler)
            except Crash:
                continue

    def _read(self) -> None:
        """Look at the documents as a shopper's browser would, again and again."""
        while not self.scheduler.closing:
            self.scheduler.pause()
            now: dict[str, int] = {}
            for document in self.orders.store.documents():
                is_summary = document["id"] == SUMMARY
                now[document["id"]] = document["customerVersion"] if is_summary else document["version"]
            for name, version in self.seen.versions.items():
                if now.get(name, 0) < version:
                    self.seen.backwards.append(f"{name}: {version}, then {now.get(name)}")
            self.seen.versions |= now

    def _project_order(self, body: bytes) -> None:
        self.scheduler.work(self.order_views.project(ordering.CODEC.open(from_body(body))))

    def _project_product(self, body: bytes) -> None:
        self.scheduler.work(self.product_views.project(catalog.CODEC.open(from_body(body))))

    def _follow_product(self, body: bytes) -> None:
        recorded = catalog.CODEC.open(from_body(body))
        follow_product(recorded, self.faulty["ordering"])
        self.scheduler.work(self.names.follow_product(recorded))

    def _follow_customer(self, body: bytes) -> None:
        recorded = customers.CODEC.open(from_body(body))
        follow_customer(recorded, self.faulty["ordering"])
        self.scheduler.work(self.names.follow_customer(recorded))


def _product(product_id: UUID, price: Decimal) -> AddProduct:
    return AddProduct(product_id=product_id, name="p0", unit_price=price, currency="EUR", category="c")
