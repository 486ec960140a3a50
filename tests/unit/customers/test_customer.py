"""Every rule of a customer."""

from uuid import uuid4

from shared.customers.domain.customer import Customer
from shared.customers.events import CustomerRegisteredV1, CustomerRenamedV1


def test_a_customer_is_registered_and_renamed() -> None:
    customer_id = uuid4()

    customer = Customer.register(customer_id, "Ada", "ada@example.org")
    customer.rename("Ada L.")

    assert customer.changes == [
        CustomerRegisteredV1(customer_id, "Ada", "ada@example.org"),
        CustomerRenamedV1(customer_id, "Ada L."),
    ]
    assert (customer.name, customer.email, customer.version) == ("Ada L.", "ada@example.org", 2)


def test_folding_the_events_of_a_customer_gives_the_customer() -> None:
    customer = Customer.register(uuid4(), "Ada", "ada@example.org")
    customer.rename("Ada L.")
    assert vars(Customer.fold(customer.changes)) == vars(customer) | {"changes": []}
