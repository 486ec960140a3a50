"""Customers are loaded as they were saved, and refused where they should be."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.customers.commands.add_address import AddAddress, add_address, address_id
from shared.customers.commands.change_address import ChangeAddress, change_address
from shared.customers.commands.change_email import ChangeEmail, change_email
from shared.customers.commands.change_preferences import ChangePreferences, change_preferences
from shared.customers.commands.make_address_default import MakeAddressDefault, make_address_default
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.commands.remove_address import RemoveAddress, remove_address
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.domain.customer import Customer
from shared.customers.domain.errors import CustomerAlreadyExists, CustomerNotFound, EmailTaken
from shared.customers.repository import Customers, customer_as_stored
from shared.customers.tables import CUSTOMERS, EMAILS, LOG
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.kernel.refusals import Refusal, StaleVersion
from tests.support.shop import Shop, rows


def register(shop: Shop, customer_id: UUID, metadata: Metadata) -> Accepted:
    command = RegisterCustomer(customer_id=customer_id, name="Søren 🦉", email=f"{customer_id}@example.org")
    return shop.customers.run(register_customer, command, metadata)


def rename(shop: Shop, customer_id: UUID, metadata: Metadata) -> Accepted:
    return shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="Kier"), metadata)


def test_a_customer_is_stored_as_the_events_say(shop: Shop) -> None:
    customer_id = uuid4()
    assert register(shop, customer_id, Metadata()) == Accepted(customer_id, 1)
    assert rename(shop, customer_id, Metadata(expected_versions={1})) == Accepted(customer_id, 2)
    with shop.customers_engine.connect() as connection:
        stored = Customers(UnitOfWork(shop.customers_engine), Metadata()).load(customer_id)
        folded = Customer.fold(recorded.event for recorded in LOG.history(connection, customer_id))
    assert vars(stored) == vars(folded)
    assert (stored.name, stored.email) == ("Kier", f"{customer_id}@example.org")


def test_all_that_a_customer_may_have_is_stored_as_the_events_say(shop: Shop) -> None:
    customer_id, home, work = uuid4(), uuid4(), uuid4()
    register(shop, customer_id, Metadata())
    address: dict[str, Any] = {
        "customer_id": customer_id,
        "street": "s",
        "city": "c",
        "postal_code": "p",
        "country": "DE",
    }
    for id_ in (home, work):
        shop.customers.run(add_address, AddAddress(address_id=id_, label="🏠", **address), Metadata())
    shop.customers.run(change_address, ChangeAddress(address_id=home, **address), Metadata())
    shop.customers.run(make_address_default, MakeAddressDefault(customer_id=customer_id, address_id=work), Metadata())
    shop.customers.run(remove_address, RemoveAddress(customer_id=customer_id, address_id=home), Metadata())
    wished = ChangePreferences(customer_id=customer_id, language="da", currency="DKK", newsletter=True)
    shop.customers.run(change_preferences, wished, Metadata())
    shop.customers.run(change_email, ChangeEmail(customer_id=customer_id, email="kier@example.org"), Metadata())
    with shop.customers_engine.connect() as connection:
        stored = Customers(UnitOfWork(shop.customers_engine), Metadata()).load(customer_id)
        folded = Customer.fold(recorded.event for recorded in LOG.history(connection, customer_id))
    assert vars(stored) == vars(folded)
    assert [row["address"] for row in rows(shop.customers_engine, EMAILS)] == ["kier@example.org"]


def test_who_had_an_address_for_e_mail_before_it_was_kept_apart_may_still_change_it(shop: Shop) -> None:
    customer_id = register(shop, uuid4(), Metadata()).aggregate_id
    with shop.customers_engine.begin() as connection:  # as migration 0005 leaves all but one who share one
        connection.execute(sa.delete(EMAILS))
    shop.customers.run(change_email, ChangeEmail(customer_id=customer_id, email="kier@example.org"), Metadata())
    assert [row["address"] for row in rows(shop.customers_engine, EMAILS)] == ["kier@example.org"]


def test_who_shared_an_address_for_e_mail_with_another_does_not_free_it_by_leaving(shop: Shop) -> None:
    """Before addresses were kept apart two customers could have one; migration 0005 gave it to the first of them."""
    first, second = (register(shop, uuid4(), Metadata()).aggregate_id for _ in range(2))
    shared = f"{first}@example.org"
    with shop.customers_engine.begin() as connection:
        connection.execute(sa.delete(EMAILS).where(EMAILS.c.customer_id == second))
        connection.execute(sa.update(CUSTOMERS).where(CUSTOMERS.c.customer_id == second).values(email=shared))
    shop.customers.run(change_email, ChangeEmail(customer_id=second, email="kier@example.org"), Metadata())
    owners = {row["address"]: row["customer_id"] for row in rows(shop.customers_engine, EMAILS)}
    assert owners == {shared: first, "kier@example.org": second}


def test_who_spells_their_own_address_for_e_mail_another_way_keeps_it_and_no_other_spelling_of_it_is_free(
    shop: Shop,
) -> None:
    customer_id = register(shop, uuid4(), Metadata()).aggregate_id
    shop.customers.run(change_email, ChangeEmail(customer_id=customer_id, email="Kier@example.org"), Metadata())
    shop.customers.run(change_email, ChangeEmail(customer_id=customer_id, email="KIER@example.org"), Metadata())
    assert rows(shop.customers_engine, CUSTOMERS)[0]["email"] == "KIER@example.org"
    other = RegisterCustomer(customer_id=uuid4(), name="Eve", email="kier@example.org")
    with pytest.raises(EmailTaken):
        shop.customers.run(register_customer, other, Metadata())
    shop.customers.run(change_email, ChangeEmail(customer_id=customer_id, email="ada@example.org"), Metadata())
    assert shop.customers.run(register_customer, other, Metadata()) == Accepted(other.customer_id, 1)


def test_addresses_are_shown_in_the_order_in_which_they_were_added(shop: Shop) -> None:
    customer_id = register(shop, uuid4(), Metadata()).aggregate_id
    added = sorted((uuid4() for _ in range(3)), reverse=True)
    for id_ in added:
        address = AddAddress(customer_id=customer_id, address_id=id_, street="s", city="c", postal_code="p")
        shop.customers.run(add_address, address, Metadata())
    stored = customer_as_stored(shop.customers_engine, customer_id)
    assert stored is not None
    assert list(stored.addresses) == added


def test_an_address_without_an_id_gets_one_of_its_own_and_the_same_again_for_the_same_key() -> None:
    address = AddAddress(customer_id=uuid4(), street="s", city="c", postal_code="p")
    assert len({address_id(address, Metadata()) for _ in range(2)}) == 2
    assert len({address_id(address, Metadata(command_id="key")) for _ in range(2)}) == 1


@pytest.mark.parametrize("own", [True, False])
def test_a_customer_changes_nobody_but_themselves(shop: Shop, *, own: bool) -> None:
    customer_id = register(shop, uuid4(), Metadata()).aggregate_id
    caller = Metadata(owner_id=customer_id if own else uuid4())
    if own:
        assert rename(shop, customer_id, caller).version == 2
    else:
        with pytest.raises(CustomerNotFound):
            rename(shop, customer_id, caller)


REFUSED: list[tuple[Callable[[Shop, UUID], object], type[Refusal]]] = [
    (lambda shop, known: register(shop, known, Metadata()), CustomerAlreadyExists),
    (lambda shop, _: register(shop, uuid4(), Metadata(expected_versions={1})), StaleVersion),
    (lambda shop, _: rename(shop, uuid4(), Metadata()), CustomerNotFound),
    (lambda shop, known: rename(shop, known, Metadata(expected_versions={2})), StaleVersion),
    (
        lambda shop, known: shop.customers.run(
            register_customer,
            RegisterCustomer(customer_id=uuid4(), name="Eve", email=f"{known}@EXAMPLE.org"),
            Metadata(),
        ),
        EmailTaken,
    ),
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
    stale = Customers(UnitOfWork(shop.customers_engine), Metadata()).load(customer_id)
    rename(shop, customer_id, Metadata())
    stale.rename("Late")
    work = UnitOfWork(shop.customers_engine)
    Customers(work, Metadata()).save(stale)
    with pytest.raises(LostRace):
        work.commit()
    assert rows(shop.customers_engine, CUSTOMERS)[0]["name"] == "Kier"
