"""Rename a customer."""

from shared.customers.repository import Customers
from shared.messaging.envelope import Accepted
from shared.platform.examples import CUSTOMER_ID, example
from shared.platform.input import Id, Input, Name


class RenameCustomer(Input, json_schema_extra=example(customerId=CUSTOMER_ID, name="Ada King")):
    """Call a customer something else; the customer's orders and summary show the new name."""

    customer_id: Id
    name: Name


def rename_customer(command: RenameCustomer, customers: Customers) -> Accepted:
    """Rename the customer."""
    customer = customers.load(command.customer_id)
    customer.rename(command.name)
    return customers.save(customer)
