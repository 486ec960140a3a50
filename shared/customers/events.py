"""The published events of customers; see ordering's events for the rules."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class CustomerRegisteredV1:
    """Somebody became a customer."""

    customer_id: UUID
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class CustomerRenamedV1:
    """A customer is called something else from now on."""

    customer_id: UUID
    name: str


type CustomerEvent = CustomerRegisteredV1 | CustomerRenamedV1
