"""Both timers of the app run on the host: what no commit announced is published, and views are watched."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.catalog import tables as catalog
from shared.catalog.commands.add_product import AddProduct, add_product
from shared.customers import tables as customers
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.frame.messaging.envelope import Metadata
from shared.frame.platform.settings import Settings
from shared.frame.sql.engines import context_engine
from shared.frame.write_side.commands import WriteSide
from shared.ordering import tables as ordering
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from tests.e2e.api import Api, eventually
from tests.support.shop import SHIPPING
from tests.support.stack import Stack


def nobody() -> None:
    """Wake no publisher: as a process does that dies right after its commit."""


@contextmanager
def engine(stack: Stack, schema: str) -> Iterator[sa.Engine]:
    """One context's engine on the running stack's database."""
    made = context_engine(Settings(sql=stack.settings["SqlConnection"], cosmos="", service_bus=""), schema)
    yield made
    made.dispose()


def registered(stack: Stack, _: Api) -> str:
    command = RegisterCustomer(customer_id=uuid4(), name="Ada", email=f"{uuid4()}@example.org")
    with engine(stack, customers.SCHEMA) as own:
        WriteSide(own, customers.LOG, nobody).run(register_customer, command, Metadata())
    return f"/customers/{command.customer_id}/summary"


def added(stack: Stack, _: Api) -> str:
    command = AddProduct(product_id=uuid4(), name="Tea", unit_price=Decimal(1), currency="EUR", category="c")
    with engine(stack, catalog.SCHEMA) as own:
        WriteSide(own, catalog.LOG, nobody).run(add_product, command, Metadata())
    return f"/products/{command.product_id}"


def ordered(stack: Stack, api: Api) -> str:
    customer_id, product_id = UUID(api.customer()), UUID(api.product())
    items = [Item(product_id=product_id, quantity=1)]
    command = CreateOrder(order_id=uuid4(), customer_id=customer_id, items=items, shipping_address=SHIPPING)
    with engine(stack, ordering.SCHEMA) as own:
        WriteSide(own, ordering.LOG, nobody).run(create_order, command, Metadata())
    return f"/orders/{command.order_id}?customerId={customer_id}"


@pytest.mark.parametrize("left_behind", [registered, added, ordered])
def test_the_relay_timer_publishes_what_a_dead_process_left_behind(
    stack: Stack, api: Api, left_behind: Callable[[Stack, Api], str]
) -> None:
    path = left_behind(stack, api)
    eventually(lambda: api.get(path).status_code == 200, "it is published, and its read model is there")


def test_the_watch_timer_holds_every_view_against_the_log(api: Api) -> None:
    began = time.time()

    def checked() -> bool:
        views = api.read("/ops/projections")["items"]
        ages = [view["drift"] and view["drift"]["checkedAt"] for view in views]
        return all(age and age > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began)) for age in ages)

    eventually(checked, "both views have been looked at since", seconds=120)
