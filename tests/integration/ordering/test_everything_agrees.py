"""Whatever is commanded, and however its events travel: state tables = fold of the log = read models.

Hypothesis makes up the commands. The events go through the real relay into a topic that shuffles, repeats and reorders
them, even within an aggregate, which Service Bus does not; the consumers work on several at once.
"""

# ruff: noqa: D102 -- the rules of the machine are named as what they do
import asyncio
import random
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Literal, get_args
from uuid import UUID, uuid4

from azure.cosmos.aio import CosmosClient
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.commands import WriteSide
from shared.kernel.money import Money
from shared.kernel.refusals import Refusal
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.change_shipping_address import ChangeShippingAddress, change_shipping_address
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.commands.remove_item import RemoveItem, remove_item
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from tests.support.agreement import assert_everything_agrees
from tests.support.delivery import Delivery
from tests.support.shop import SHIPPING, running_shop

type Step = Literal["move", "submit", "confirm", "complete", "cancel"]
STEPS: dict[str, Callable[[WriteSide, UUID, Metadata], object]] = {
    "move": lambda writes, id_, metadata: writes.run(
        change_shipping_address,
        ChangeShippingAddress(order_id=id_, street="s", city=f"city {metadata.at}", postal_code="p"),
        metadata,
    ),
    "submit": lambda writes, id_, metadata: writes.run(submit_order, SubmitOrder(order_id=id_), metadata),
    "confirm": lambda writes, id_, metadata: writes.run(confirm_order, ConfirmOrder(order_id=id_), metadata),
    "complete": lambda writes, id_, metadata: writes.run(complete_order, CompleteOrder(order_id=id_), metadata),
    "cancel": lambda writes, id_, metadata: writes.run(cancel_order, CancelOrder(order_id=id_, reason="no"), metadata),
}
LIVES: list[list[Step]] = [
    ["move", "submit"],
    ["submit"],
    ["submit", "cancel"],
    ["submit", "confirm"],
    ["submit", "confirm", "cancel"],
    ["submit", "confirm", "complete"],
    ["cancel"],
]
CURRENCIES = ("EUR", "JPY", "EUR")

some = st.integers(0, 1_000)
names = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
prices = st.integers(0, 99_999)


class AShopsLife(RuleBasedStateMachine):
    """Any commands, in any order, on whatever is there."""

    connection: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.resources = ExitStack()
        self.shop = self.resources.enter_context(
            running_shop(Path(self.resources.enter_context(tempfile.TemporaryDirectory())))
        )
        self.runner = self.resources.enter_context(asyncio.Runner())
        parts = dict(part.split("=", 1) for part in self.connection.rstrip(";").split(";"))
        self.client = CosmosClient(
            parts["AccountEndpoint"], parts["AccountKey"], connection_verify=False, enable_endpoint_discovery=False
        )
        database = self.client.get_database_client("orders-db")
        orders, products, related = map(database.get_container_client, ("orders", "catalog", "related"))
        self.delivery = Delivery(self.shop, orders, products, related)
        self.customers: list[UUID] = []
        self.products: list[UUID] = []
        self.orders: list[UUID] = []
        self.now = datetime(2026, 11, 22, tzinfo=UTC)
        self.delivering = False

    def teardown(self) -> None:
        """Deliver the rest, and compare."""
        try:
            if not self.delivering:  # what stopped a delivery is the error to see
                self.deliver(0)
                self.runner.run(assert_everything_agrees(self.shop, self.delivery.orders, self.delivery.products))
        finally:
            self.runner.run(self.client.close())
            self.resources.close()

    def metadata(self) -> Metadata:
        self.now += timedelta(seconds=1)
        return Metadata(at=self.now)

    @initialize(seed=some)
    def open(self, seed: int) -> None:
        """Begin with something to sell and somebody to buy it."""
        for number in range(2):
            self.register(f"Customer {number}")
        for number in range(3):
            self.add_product(f"Product {number}", 1_000 + number, number)
        self.deliver(seed)

    @rule(name=names)
    def register(self, name: str) -> None:
        command = RegisterCustomer(customer_id=uuid4(), name=name, email=f"{uuid4()}@example.org")
        self.shop.customers.run(register_customer, command, self.metadata())
        self.customers.append(command.customer_id)

    @rule(which=some, name=names)
    def rename_customer(self, which: int, name: str) -> None:
        command = RenameCustomer(customer_id=self.customers[which % len(self.customers)], name=name)
        self.shop.customers.run(rename_customer, command, self.metadata())

    @rule(name=names, price=prices, currency=some)
    def add_product(self, name: str, price: int, currency: int) -> None:
        code = CURRENCIES[currency % len(CURRENCIES)]
        command = AddProduct(
            product_id=uuid4(), name=name, unit_price=Money.from_minor(price, code).amount, currency=code, category="x"
        )
        self.shop.catalog.run(add_product, command, self.metadata())
        self.products.append(command.product_id)

    @rule(which=some, price=prices)
    def change_price(self, which: int, price: int) -> None:
        command = ChangePrice(product_id=self.product(which), unit_price=Decimal(price))
        self.shop.catalog.run(change_price, command, self.metadata())

    @rule(which=some, name=names)
    def rename_product(self, which: int, name: str) -> None:
        command = RenameProduct(product_id=self.product(which), name=name)
        self.shop.catalog.run(rename_product, command, self.metadata())

    @rule(customer=some, items=st.lists(st.tuples(some, st.integers(1, 9)), max_size=4))
    def create(self, customer: int, items: list[tuple[int, int]]) -> None:
        command = CreateOrder(
            order_id=uuid4(),
            customer_id=self.customers[customer % len(self.customers)],
            items=[Item(product_id=self.product(which), quantity=quantity) for which, quantity in items],
            shipping_address=SHIPPING,
        )
        if self.accepted(lambda: self.shop.ordering.run(create_order, command, self.metadata())):
            self.orders.append(command.order_id)

    @rule(customer=some, product=some, quantity=st.integers(1, 9), life=st.sampled_from(LIVES))
    def order_one(self, customer: int, product: int, quantity: int, life: list[Step]) -> None:
        self.create(customer, [(product, quantity)])
        self.proceed(-1, life)

    @rule(which=some, product=some, quantity=st.integers(1, 9))
    def add_item(self, which: int, product: int, quantity: int) -> None:
        for order_id in self.order(which):
            command = AddItem(order_id=order_id, product_id=self.product(product), quantity=quantity)
            self.accepted(lambda: self.shop.ordering.run(add_item, command, self.metadata()))  # noqa: B023  # runs at once

    @rule(which=some, product=some)
    def remove_item(self, which: int, product: int) -> None:
        for order_id in self.order(which):
            command = RemoveItem(order_id=order_id, product_id=self.product(product))
            self.accepted(lambda: self.shop.ordering.run(remove_item, command, self.metadata()))  # noqa: B023  # as above

    @rule(which=some, steps=st.lists(st.sampled_from(get_args(Step.__value__)), min_size=1, max_size=4))
    def proceed(self, which: int, steps: list[Step]) -> None:
        for order_id in self.order(which):
            for step in steps:
                self.accepted(lambda: STEPS[step](self.shop.ordering, order_id, self.metadata()))  # noqa: B023  # as above

    @rule(seed=some)
    def deliver(self, seed: int) -> None:
        self.delivering = True
        self.runner.run(self.delivery.all(random.Random(seed)))
        self.delivering = False

    def product(self, which: int) -> UUID:
        return self.products[which % len(self.products)]

    def order(self, which: int) -> list[UUID]:
        """One of the orders, if there is any."""
        return [self.orders[which % len(self.orders)]] if self.orders else []

    def accepted(self, command: Callable[[], object]) -> bool:
        try:
            command()
        except Refusal:
            return False
        return True


def test_state_tables_and_log_and_read_models_agree(read_models: str) -> None:
    class InThisEngine(AShopsLife):
        connection = read_models

    run_state_machine_as_test(
        InThisEngine,
        settings=settings(
            # a race does not happen again while it is being shrunk
            phases=[Phase.generate],
            max_examples=10,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
