"""Ordering's copies follow the catalogue and the customers: late, repeated and reordered events change nothing."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.events import CatalogEvent
from shared.customers.commands.add_address import AddAddress, add_address
from shared.customers.commands.make_address_default import MakeAddressDefault, make_address_default
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.commands.remove_address import RemoveAddress, remove_address
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.events import CustomerEvent
from shared.customers.tables import LOG as CUSTOMERS_LOG
from shared.frame.messaging.envelope import Metadata, Recorded
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.event_handlers.follow_customers import follow_customer
from shared.ordering.event_handlers.follow_products import follow_product
from shared.ordering.finding import PAGE, orders_of_customer, orders_with_product
from shared.ordering.reference_data import NotCopiedYet, ReferenceData
from shared.ordering.tables import CUSTOMER_ADDRESSES, CUSTOMERS, INBOX, ORDER_LINES, ORDERS, PRODUCTS
from tests.support.offers import a_customer, a_product, an_order, pieces, saved
from tests.support.products import a_history
from tests.support.shop import Shop, rows


@pytest.fixture
def product_events(shop: Shop) -> Sequence[Recorded[CatalogEvent]]:
    return a_history(shop)


@pytest.mark.parametrize(
    "places", [(1, 2, 3, 4), (4, 3, 2, 1), (1, 1, 2, 2, 3, 4, 4), (3, 4), (4, 1, 3, 2), (0, 4, 3, 0, 3, 4)]
)
def test_a_product_is_what_its_newest_events_say(
    places: tuple[int, ...], shop: Shop, product_events: Sequence[Recorded[CatalogEvent]]
) -> None:
    for place in places:
        shop.ordering.follow(INBOX, follow_product, product_events[place])
    [copied] = rows(shop.ordering_engine, PRODUCTS)
    assert (copied["name"], copied["name_version"]) == ("Sencha", 5)
    assert (copied["unit_price"], copied["price_version"]) == (Decimal("3.00"), 4)
    assert copied["currency"] == "EUR"


def test_an_event_of_a_product_whose_first_has_not_arrived_is_given_back_and_taken_later(
    shop: Shop, product_events: Sequence[Recorded[CatalogEvent]]
) -> None:
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.delete(PRODUCTS))
    for place in (1, 2):
        with pytest.raises(NotCopiedYet):
            shop.ordering.follow(INBOX, follow_product, product_events[place])
    assert rows(shop.ordering_engine, PRODUCTS) == []
    with UnitOfWork(shop.ordering_engine) as work:
        ReferenceData(work).add_product(product_events[0].envelope.aggregate_id, "Tea", Decimal(1), "EUR", 1)
        work.commit()
    for place in (1, 2):
        shop.ordering.follow(INBOX, follow_product, product_events[place])
    [copied] = rows(shop.ordering_engine, PRODUCTS)
    assert (copied["name"], copied["unit_price"]) == ("Green tea", Decimal("2.00"))


@pytest.fixture
def customer_events(shop: Shop) -> list[Recorded[CustomerEvent]]:
    """Registered and renamed twice; nothing of it followed but the first."""
    customer_id = shop.customer("Ada")
    for name in ("Ada K.", "Ada L."):
        shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name=name), Metadata())
    with shop.customers_engine.connect() as connection:
        return list(CUSTOMERS_LOG.history(connection, customer_id))


@pytest.mark.parametrize("places", [(1, 2), (2, 1), (2, 2, 0, 1)])
def test_a_customer_is_called_as_the_newest_event_says(
    places: tuple[int, ...], shop: Shop, customer_events: list[Recorded[CustomerEvent]]
) -> None:
    for place in places:
        INBOX.consume(shop.ordering_engine, customer_events[place], follow_customer)
    [copied] = rows(shop.ordering_engine, CUSTOMERS)
    assert (copied["name"], copied["name_version"]) == ("Ada L.", 3)


def test_a_new_name_of_a_customer_whose_first_event_has_not_arrived_is_given_back(
    shop: Shop, customer_events: list[Recorded[CustomerEvent]]
) -> None:
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.delete(CUSTOMERS))
    with pytest.raises(NotCopiedYet):
        INBOX.consume(shop.ordering_engine, customer_events[1], follow_customer)


@pytest.mark.parametrize("places", [*permutations((1, 2, 3, 4, 5))][::7])
def test_a_customer_s_addresses_are_as_the_newest_events_say(places: tuple[int, ...], shop: Shop) -> None:
    customer_id, home, work = shop.customer(), uuid4(), uuid4()
    address: dict[str, Any] = {"customer_id": customer_id, "street": "s", "city": "c", "postal_code": "p"}
    shop.customers.run(add_address, AddAddress(address_id=home, **address), Metadata())
    shop.customers.run(remove_address, RemoveAddress(customer_id=customer_id, address_id=home), Metadata())
    shop.customers.run(add_address, AddAddress(address_id=work, **address), Metadata())
    shop.customers.run(add_address, AddAddress(address_id=home, **address | {"city": "d"}), Metadata())
    shop.customers.run(make_address_default, MakeAddressDefault(customer_id=customer_id, address_id=home), Metadata())
    with shop.customers_engine.connect() as connection:
        history = CUSTOMERS_LOG.history(connection, customer_id)
    pending = [*places, *places]
    while pending:
        place = pending.pop(0)
        try:
            INBOX.consume(shop.ordering_engine, history[place], follow_customer)
        except NotCopiedYet:
            pending.append(place)
    [customer] = rows(shop.ordering_engine, CUSTOMERS)
    assert (customer["default_address_id"], customer["default_version"]) == (home, 6)
    copied = {
        row["address_id"]: (row["city"], row["version"]) for row in rows(shop.ordering_engine, CUSTOMER_ADDRESSES)
    }
    assert copied == {home: ("d", 5), work: ("c", 4)}


def test_of_a_default_address_that_was_removed_nothing_is_left_to_ship_to(shop: Shop) -> None:
    customer_id, home = shop.customer(), uuid4()
    added = AddAddress(customer_id=customer_id, address_id=home, street="s", city="c", postal_code="p")
    shop.customers.run(add_address, added, Metadata())
    shop.follow_customer(customer_id)
    [customer] = rows(shop.ordering_engine, CUSTOMERS)
    assert customer["default_address_id"] == home
    shop.customers.run(remove_address, RemoveAddress(customer_id=customer_id, address_id=home), Metadata())
    shop.follow_customer(customer_id)
    [customer] = rows(shop.ordering_engine, CUSTOMERS)
    [address] = rows(shop.ordering_engine, CUSTOMER_ADDRESSES)
    assert (customer["default_address_id"], address["street"], address["city"]) == (None, None, None)


def test_the_orders_that_show_an_older_name_are_found(shop: Shop) -> None:
    tea, mug = a_product(), a_product()
    newer = type(tea)(tea.product_id, "Sencha", tea.price, version=5)
    older = saved(shop.ordering_engine, an_order(pieces(mug), pieces(tea)))
    saved(shop.ordering_engine, an_order(pieces(newer)))
    saved(shop.ordering_engine, an_order(pieces(mug)))
    with shop.ordering_engine.connect() as connection:
        found = list(orders_with_product(connection, tea.product_id, before_version=5))
    assert [(each.order_id, each.customer_id, each.version) for each in found] == [
        (older.order_id, older.customer_id, older.version)
    ]


def test_orders_are_found_however_many_there_are(shop: Shop) -> None:
    tea, customer = a_product(), a_customer()
    template = saved(shop.ordering_engine, an_order(pieces(tea), customer=customer))
    [order], [line] = rows(shop.ordering_engine, ORDERS), rows(shop.ordering_engine, ORDER_LINES)
    made: list[UUID] = [uuid4() for _ in range(2 * PAGE)]
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.insert(ORDERS), [order | {"order_id": order_id} for order_id in made])
        connection.execute(sa.insert(ORDER_LINES), [line | {"order_id": order_id} for order_id in made])
    with shop.ordering_engine.connect() as connection:
        with_product = [each.order_id for each in orders_with_product(connection, tea.product_id, before_version=2)]
        of_customer = [each.order_id for each in orders_of_customer(connection, customer.customer_id)]
    for found in (with_product, of_customer):
        assert len(found) == 2 * PAGE + 1
        assert set(found) == {template.order_id, *made}


def test_a_product_and_a_customer_may_have_the_same_id(shop: Shop) -> None:
    id_ = uuid4()
    tea = AddProduct(product_id=id_, name="Tea", unit_price=Decimal(1), currency="EUR", category="Drinks")
    ada = RegisterCustomer(customer_id=id_, name="Ada", email="ada@example.org")
    shop.catalog.run(add_product, tea, Metadata())
    shop.customers.run(register_customer, ada, Metadata())
    shop.follow_product(id_)
    shop.follow_customer(id_)
    assert [row["product_id"] for row in rows(shop.ordering_engine, PRODUCTS)] == [id_]
    assert [row["customer_id"] for row in rows(shop.ordering_engine, CUSTOMERS)] == [id_]
