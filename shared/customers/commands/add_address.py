"""Add an address to a customer's address book."""

from typing import Annotated
from uuid import UUID, uuid5

from pydantic import Field, StringConstraints

from shared.customers.events import CustomerAddress
from shared.customers.repository import Customers
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.platform.addresses import PostalAddress
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Text
from shared.kernel.personal import PERSONAL
from shared.story import ADDRESS_ID, CUSTOMER_ID


class LabelledAddress(PostalAddress):
    """An address with the customer's label for it."""

    label: Annotated[Text, StringConstraints(min_length=1, max_length=100), PERSONAL] | None = None

    def kept(self) -> CustomerAddress:
        """Make the address that the customer keeps."""
        return CustomerAddress(self.label, self.street, self.city, self.postal_code, self.region, self.country)


class AddAddress(
    LabelledAddress,
    json_schema_extra=example(
        customerId=CUSTOMER_ID,
        addressId=ADDRESS_ID,
        label="Home",
        street="12 St James's Square",
        city="London",
        postalCode="SW1Y 4LE",
        country="GB",
    ),
):
    """Add an address, whose id orders may name. The first address is the default; a customer may have 50."""

    customer_id: Id
    address_id: Id | None = Field(default=None, description="chosen by the caller, if at all")


def address_id(command: AddAddress, metadata: Metadata) -> UUID:
    """Give the new address's id: the caller's or, without one, always the same for the same Idempotency-Key."""
    return command.address_id or uuid5(command.customer_id, metadata.command_id)


def add_address(command: AddAddress, customers: Customers) -> Accepted:
    """Add it; refused as Customer.add_address says."""
    customer = customers.load(command.customer_id)
    customer.add_address(address_id(command, customers.metadata), command.kept())
    return customers.save(customer)
