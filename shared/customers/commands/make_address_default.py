"""Choose a customer's default address."""

from shared.customers.repository import Customers
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input
from shared.story import ADDRESS_ID, CUSTOMER_ID


class MakeAddressDefault(Input, json_schema_extra=example(customerId=CUSTOMER_ID, addressId=ADDRESS_ID)):
    """Make an address the default, to which orders go that name no address."""

    customer_id: Id
    address_id: Id


def make_address_default(command: MakeAddressDefault, customers: Customers) -> Accepted:
    """Make it the default; AddressNotFound when the customer keeps no such address."""
    customer = customers.load(command.customer_id)
    customer.make_default(command.address_id)
    return customers.save(customer)
