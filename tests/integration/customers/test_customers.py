"""Customers are loaded as they were saved, and refused where they should be."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.domain.customer import Customer
from shared.customers.domain.errors import CustomerAlreadyExists, CustomerNotFound
from shared.customers.repository import Customers
from shared.customers.tables import CUSTOMERS, LOG
from shared.kernel.refusals import Refusal, StaleVersion
from shared.messaging.envelope import Accepted, Metadata
from shared.platform.write_side import LostRace
from tests.support.shop import Shop, rows


def register(shop: Shop, customer_id: UUID, metadata: Metadata) -> Accepted:
    command = RegisterCustomer(customer_id=customer_id, name="Søren 🦉", email="soren@example.org")
    return shop.customers.run(register_customer, command, metadata)


def rename(shop: Shop, customer_id: UUID, metadata: Metadata) -> Accepted:
    return shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="Kier"), metadata)


def test_a_customer_is_stored_as_the_events_say(shop: Shop) -> None:
    customer_id = uuid4()
    assert register(shop, customer_id, Metadata()) == Accepted(customer_id, 1)
    assert rename(shop, customer_id, Metadata(expected_version=1)) == Accepted(customer_id, 2)
    with shop.customers_engine.connect() as connection:
        stored = Customers(connection, Metadata()).load(customer_id)
        folded = Customer.fold(recorded.event for recorded in LOG.history(connection, customer_id))
    assert vars(stored) == vars(folded)
    assert (stored.name, stored.email) == ("Kier", "soren@example.org")


REFUSED: list[tuple[Callable[[Shop, UUID], object], type[Refusal]]] = [
    (lambda shop, known: register(shop, known, Metadata()), CustomerAlreadyExists),
    (lambda shop, _: register(shop, uuid4(), Metadata(expected_version=1)), StaleVersion),
    (lambda shop, _: rename(shop, uuid4(), Metadata()), CustomerNotFound),
    (lambda shop, known: rename(shop, known, Metadata(expected_version=2)), StaleVersion),
]


@pytest.mark.parametrize(("command", "refusal"), REFUSED)
def test_a_refused_command_changes_nothing(
    command: Callable[[Shop, UUID], object], refusal: type[Refusal], shop: Shop
) -> None:
    known = register(shop, uuid4(), Metadata()).aggregate_id
    before = rows(shop.customers_engine, CUSTOMERS), rows(shop.customers_engine, LOG.table)
    with pytest.raises(refusal) as caught:
        command(shop, known)
    assert type(caught.value) is refusal
    assert (rows(shop.customers_engine, CUSTOMERS), rows(shop.customers_engine, LOG.table)) == before


def test_a_customer_who_is_saved_from_an_older_version_loses_the_race(shop: Shop) -> None:
    customer_id = register(shop, uuid4(), Metadata()).aggregate_id
    with shop.customers_engine.connect() as connection:
        stale = Customers(connection, Metadata()).load(customer_id)
    rename(shop, customer_id, Metadata())
    stale.rename("Late")
    with shop.customers_engine.begin() as connection, pytest.raises(LostRace):
        Customers(connection, Metadata()).save(stale)
    assert rows(shop.customers_engine, CUSTOMERS)[0]["name"] == "Kier"
