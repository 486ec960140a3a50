"""Keep one of a customer's addresses no longer."""

from shared.customers.repository import Customers
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input
from shared.story import ADDRESS_ID, CUSTOMER_ID


class RemoveAddress(Input, json_schema_extra=example(customerId=CUSTOMER_ID, addressId=ADDRESS_ID)):
    """Remove an address. If it was the default, there is none until another is made so."""

    customer_id: Id
    address_id: Id


def remove_address(command: RemoveAddress, customers: Customers) -> Accepted:
    """Remove it; AddressNotFound when the customer keeps no such address."""
    customer = customers.load(command.customer_id)
    customer.remove_address(command.address_id)
    return customers.save(customer)
