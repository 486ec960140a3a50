"""Register a customer."""

from typing import Annotated
from uuid import uuid4

from pydantic import EmailStr, Field, StringConstraints

from shared.customers.domain.customer import Customer
from shared.customers.repository import Customers
from shared.messaging.envelope import Accepted
from shared.platform.examples import CUSTOMER_ID, example
from shared.platform.input import Id, Input, Name


class RegisterCustomer(
    Input, json_schema_extra=example(customerId=CUSTOMER_ID, name="Ada Lovelace", email="ada@example.com")
):
    """Make somebody a customer."""

    customer_id: Id = Field(default_factory=uuid4, description="chosen by the caller, so that a retry is safe")
    name: Name
    email: Annotated[EmailStr, StringConstraints(max_length=320)]


def register_customer(command: RegisterCustomer, customers: Customers) -> Accepted:
    """Register; CustomerAlreadyExists when the id is taken."""
    return customers.save(Customer.register(command.customer_id, command.name, command.email))
