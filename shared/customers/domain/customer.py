"""A customer: somebody with a name and an address for e-mail."""

from typing import Self, assert_never, override
from uuid import UUID

from shared.customers.events import CustomerEvent, CustomerRegisteredV1, CustomerRenamedV1
from shared.kernel.aggregate import Aggregate


class Customer(Aggregate[CustomerEvent]):
    """Somebody who may order."""

    customer_id: UUID
    name: str
    email: str

    @classmethod
    def register(cls, customer_id: UUID, name: str, email: str) -> Self:
        """Make somebody a customer."""
        customer = cls()
        customer._record(CustomerRegisteredV1(customer_id, name, email))
        return customer

    def rename(self, name: str) -> None:
        """Call the customer something else from now on."""
        self._record(CustomerRenamedV1(self.customer_id, name))

    @override
    def _apply(self, event: CustomerEvent) -> None:
        match event:
            case CustomerRegisteredV1():
                self.customer_id, self.name, self.email = event.customer_id, event.name, event.email
            case CustomerRenamedV1():
                self.name = event.name
            case _:
                assert_never(event)
