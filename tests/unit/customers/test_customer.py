"""Every rule of a customer."""

from uuid import uuid4

import pytest
from pydantic import ValidationError

from shared.customers.commands.change_preferences import ChangePreferences
from shared.customers.domain.customer import MAX_ADDRESSES, Customer, Preferences
from shared.customers.domain.errors import AddressAlreadyExists, AddressNotFound, TooManyAddresses
from shared.customers.events import CustomerAddress, CustomerRegisteredV1, CustomerRenamedV1

HOME = CustomerAddress("Home", "Hauptstraße 1", "Köln", "50667", None, "DE")
WORK = CustomerAddress(None, "Domplatz 2", "Köln", "50667", None, "DE")


def test_a_customer_is_registered_and_renamed() -> None:
    customer_id = uuid4()

    customer = Customer.register(customer_id, "Ada", "ada@example.org")
    customer.rename("Ada L.")

    assert customer.pending_events == [
        CustomerRegisteredV1(customer_id, "Ada", "ada@example.org"),
        CustomerRenamedV1(customer_id, "Ada L."),
    ]
    assert (customer.name, customer.email, customer.version) == ("Ada L.", "ada@example.org", 2)


def test_folding_the_events_of_a_customer_gives_the_customer() -> None:
    customer = Customer.register(uuid4(), "Ada", "ada@example.org")
    customer.rename("Ada L.")
    assert vars(Customer.fold(customer.pending_events)) == vars(customer) | {"pending_events": []}


def test_the_first_address_is_the_default_until_another_is_made_so_or_it_is_removed() -> None:
    customer, first, second = Customer.register(uuid4(), "Ada", "ada@example.org"), uuid4(), uuid4()
    customer.add_address(first, HOME)
    customer.add_address(second, WORK)
    assert customer.default_address_id == first
    customer.make_default(second)
    customer.remove_address(first)
    assert (customer.default_address_id, customer.addresses) == (second, {second: WORK})
    customer.change_address(second, HOME)
    customer.remove_address(second)
    assert customer.default_address_id is None
    assert not customer.addresses
    customer.change_email("a@example.org")
    customer.prefer(Preferences("en-GB", "GBP", newsletter=True))
    assert vars(Customer.fold(customer.pending_events)) == vars(customer) | {"pending_events": []}


def test_a_customer_keeps_so_many_addresses_and_each_once() -> None:
    customer = Customer.register(uuid4(), "Ada", "ada@example.org")
    ids = [uuid4() for _ in range(MAX_ADDRESSES)]
    for address_id in ids:
        customer.add_address(address_id, HOME)
    before = customer.version
    with pytest.raises(TooManyAddresses):
        customer.add_address(uuid4(), HOME)
    with pytest.raises(AddressAlreadyExists):
        customer.add_address(ids[0], WORK)
    for verb in (customer.remove_address, customer.make_default, lambda id_: customer.change_address(id_, WORK)):
        with pytest.raises(AddressNotFound):
            verb(uuid4())
    assert customer.version == before


@pytest.mark.parametrize(
    ("tag", "written"),
    [
        ("de", "de"),
        ("EN-gb", "en-GB"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("de-CH-1901", "de-CH-1901"),
    ],
)
def test_a_language_is_written_as_bcp_47_recommends(tag: str, written: str) -> None:
    assert ChangePreferences(customer_id=uuid4(), language=tag).language == written


@pytest.mark.parametrize("tag", ["", "english", "d", "de_DE", "de-", "de-DE-", "de DE", "<b>"])
def test_what_is_no_language_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValidationError):
        ChangePreferences(customer_id=uuid4(), language=tag)
