"""Register a customer."""

from typing import Annotated
from uuid import uuid4

from pydantic import Field

from shared.customers.domain.customer import Customer
from shared.customers.repository import Customers
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Email, Id, Input, Name
from shared.kernel.personal import PERSONAL
from shared.story import CUSTOMER_ID


class RegisterCustomer(
    Input, json_schema_extra=example(customerId=CUSTOMER_ID, name="Ada Lovelace", email="ada@example.com")
):
    """Make somebody a customer."""

    customer_id: Id = Field(default_factory=uuid4, description="chosen by the caller, so that a retry is safe")
    name: Annotated[Name, PERSONAL]
    email: Annotated[Email, PERSONAL]


def register_customer(command: RegisterCustomer, customers: Customers) -> Accepted:
    """Register; CustomerAlreadyExists when the id is taken."""
    return customers.save(Customer.register(command.customer_id, command.name, command.email))
