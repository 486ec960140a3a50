"""Rename a customer."""

from typing import Annotated

from shared.customers.repository import Customers
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, Name
from shared.kernel.personal import PERSONAL
from shared.story import CUSTOMER_ID


class RenameCustomer(Input, json_schema_extra=example(customerId=CUSTOMER_ID, name="Ada King")):
    """Change a customer's name; the customer's orders and summary show the new name."""

    customer_id: Id
    name: Annotated[Name, PERSONAL]


def rename_customer(command: RenameCustomer, customers: Customers) -> Accepted:
    """Rename the customer."""
    customer = customers.load(command.customer_id)
    customer.rename(command.name)
    return customers.save(customer)
