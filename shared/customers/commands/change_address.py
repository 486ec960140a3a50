"""Change an address of a customer."""

from shared.customers.commands.add_address import LabelledAddress
from shared.customers.repository import Customers
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id
from shared.story import ADDRESS_ID, CUSTOMER_ID


class ChangeAddress(
    LabelledAddress,
    json_schema_extra=example(
        customerId=CUSTOMER_ID,
        addressId=ADDRESS_ID,
        label="Home",
        street="10 Downing Street",
        city="London",
        postalCode="SW1A 2AA",
        country="GB",
    ),
):
    """Replace an address, all of it. Existing orders keep the address that they have."""

    customer_id: Id
    address_id: Id


def change_address(command: ChangeAddress, customers: Customers) -> Accepted:
    """Change it; AddressNotFound if the customer has no such address."""
    customer = customers.load(command.customer_id)
    customer.change_address(command.address_id, command.kept())
    return customers.save(customer)
