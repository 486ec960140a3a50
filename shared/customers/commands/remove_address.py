"""Remove an address of a customer."""

from shared.customers.repository import Customers
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input
from shared.story import ADDRESS_ID, CUSTOMER_ID


class RemoveAddress(Input, json_schema_extra=example(customerId=CUSTOMER_ID, addressId=ADDRESS_ID)):
    """Remove an address. If it was the default, the customer has no default until another address is made it."""

    customer_id: Id
    address_id: Id


def remove_address(command: RemoveAddress, customers: Customers) -> Accepted:
    """Remove it; AddressNotFound when the customer keeps no such address."""
    customer = customers.load(command.customer_id)
    customer.remove_address(command.address_id)
    return customers.save(customer)
