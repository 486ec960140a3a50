"""A customer to be erased: what was said of her, what she ordered, and whether a word of it is left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from infra.sql.migrate import CONTEXTS
from shared.customers.commands.add_address import AddAddress, add_address
from shared.customers.commands.change_preferences import ChangePreferences, change_preferences
from shared.customers.commands.erase_customer import EraseCustomer, Erasures
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.jobs.erase_customers import DueErasures
from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.event_log import EventLog
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.create_order import CreateOrder, ShippingAddress, create_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.jobs.erase_orders import erase_orders
from tests.support.shop import Shop, rows

OWN = (
    "Ada Byron-King",
    "ada.king@secret.example",
    "Ockham Park 7",
    "Ockham-under-Secret",
    "GU23 6NQ",
    "Surrey-of-hers",
)
NAME, EMAIL, STREET, CITY, POSTAL_CODE, REGION = OWN
REASONS = ("because her cat sat on it", "a letter of hers of May 3rd")


def register(shop: Shop, key: str = "key", email: str = EMAIL) -> UUID:
    """Register a customer, with an address and preferences, whom ordering knows."""
    customer_id = uuid4()
    command = RegisterCustomer(customer_id=customer_id, name=NAME, email=email)
    shop.customers.run(register_customer, command, Metadata(command_id=key, fingerprint=b"f" * 32))
    kept = AddAddress(
        customer_id=customer_id,
        label=NAME,
        street=STREET,
        city=CITY,
        postal_code=POSTAL_CODE,
        region=REGION,
        country="GB",
    )
    shop.customers.run(add_address, kept, Metadata())
    preferred = ChangePreferences(customer_id=customer_id, language="en-GB", currency="GBP", newsletter=True)
    shop.customers.run(change_preferences, preferred, Metadata())
    shop.follow_customer(customer_id)
    return customer_id


def order_at_hers(shop: Shop, customer_id: UUID) -> UUID:
    """Create an order that is shipped to her address."""
    command = CreateOrder(
        order_id=uuid4(),
        customer_id=customer_id,
        items=[],
        shipping_address=ShippingAddress(
            street=STREET, city=CITY, postal_code=POSTAL_CODE, region=REGION, country="GB"
        ),
    )
    return shop.ordering.run(create_order, command, Metadata(fingerprint=b"f" * 32)).aggregate_id


def open_order_at_hers(shop: Shop, customer_id: UUID) -> UUID:
    """Submit an order that is shipped to her address; before, it was a draft."""
    order_id = order_at_hers(shop, customer_id)
    shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=shop.product(), quantity=1), Metadata())
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    return order_id


def cancel(shop: Shop, order_id: UUID) -> None:
    """Cancel an order of hers, with a reason that says something of her."""
    shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason=REASONS[0]), Metadata())


def ask(shop: Shop, erasures: Erasures, customer_id: UUID) -> None:
    """Ask for the erasure."""
    shop.customers.run(erasures.ask, EraseCustomer(customer_id=customer_id, reason=REASONS[1]), Metadata())


def erase(shop: Shop, erasures: Erasures, customer_id: UUID) -> None:
    """Ask for the erasure, and let the time for it come."""
    ask(shop, erasures, customer_id)
    keep_appointments(shop, erasures)


def keep_appointments(shop: Shop, erasures: Erasures) -> None:
    """Let the customers' timer erase those whose time has come."""
    DueErasures(shop.customers_engine, shop.customers, erasures.owner_data).keep_all()


def tick(shop: Shop) -> None:
    """Let ordering's timer erase the orders of the erased."""
    erase_orders(shop.ordering_engine, shop.ordering)


def everything(shop: Shop) -> str:
    """All that the tables of all contexts hold."""
    return repr([rows(shop.engines[each.SCHEMA], table) for each in CONTEXTS for table in each.METADATA.sorted_tables])


def left(text: str) -> list[str]:
    """Which of her words a text has, and the hash of what she sent."""
    return [word for word in (*OWN, *REASONS, "en-GB", repr(b"f" * 32)) if word in text]


@contextmanager
def of_a_newer_release(engine: sa.Engine, log: EventLog[Any], aggregate_id: UUID) -> Iterator[None]:
    """Let an aggregate's first event be of a type that this release does not know, until the block ends."""
    table = log.table
    first = sa.and_(table.c.aggregate_id == aggregate_id, table.c.aggregate_version == 1)

    def retype(name: str) -> None:
        with engine.begin() as connection:
            connection.execute(sa.update(table).where(first).values(type=name))

    with engine.connect() as connection:
        known = connection.execute(sa.select(table.c.type).where(first)).scalar_one()
    retype("FoundedV1")
    yield
    retype(known)
