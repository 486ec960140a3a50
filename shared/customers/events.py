"""The published events of customers; see ordering's events for the rules."""

from dataclasses import dataclass
from datetime import datetime
from typing import get_args
from uuid import UUID

from shared.kernel.personal import Personal


@dataclass(frozen=True, slots=True)
class CustomerAddress:
    """An address of a customer; `country` is an ISO 3166-1 alpha-2 code, `label` the customer's name for it."""

    label: Personal | None
    street: Personal
    city: Personal
    postal_code: Personal
    region: Personal | None
    country: Personal | None


@dataclass(frozen=True, slots=True)
class CustomerRegisteredV1:
    """A customer was registered."""

    customer_id: UUID
    name: Personal
    email: Personal


@dataclass(frozen=True, slots=True)
class CustomerRenamedV1:
    """A customer's name was changed."""

    customer_id: UUID
    name: Personal


@dataclass(frozen=True, slots=True)
class CustomerEmailChangedV1:
    """A customer's e-mail address was changed."""

    customer_id: UUID
    email: Personal


@dataclass(frozen=True, slots=True)
class CustomerAddressAddedV1:
    """An address was added; `is_default`: orders that name no address go to it from now on."""

    customer_id: UUID
    address_id: UUID
    address: CustomerAddress
    is_default: bool


@dataclass(frozen=True, slots=True)
class CustomerAddressChangedV1:
    """An address was changed."""

    customer_id: UUID
    address_id: UUID
    address: CustomerAddress


@dataclass(frozen=True, slots=True)
class CustomerAddressRemovedV1:
    """An address was removed; `was_default`: the customer has no default address any more."""

    customer_id: UUID
    address_id: UUID
    was_default: bool


@dataclass(frozen=True, slots=True)
class CustomerDefaultAddressChangedV1:
    """The default address was changed: orders that name no address go to this one from now on."""

    customer_id: UUID
    address_id: UUID


@dataclass(frozen=True, slots=True)
class CustomerPreferencesChangedV1:
    """A customer's language (BCP 47), currency (ISO 4217) or wish to get the newsletter was changed."""

    customer_id: UUID
    language: Personal | None
    currency: str | None
    newsletter: bool


@dataclass(frozen=True, slots=True)
class CustomerErasureAskedV1:
    """The erasure of a customer was scheduled for `due_at` or later; it can be withdrawn until it is carried out."""

    customer_id: UUID
    due_at: datetime
    reason: Personal


@dataclass(frozen=True, slots=True)
class CustomerErasureWithdrawnV1:
    """The scheduled erasure of a customer was withdrawn."""

    customer_id: UUID


@dataclass(frozen=True, slots=True)
class CustomerErasedV1:
    """The customer's personal data was erased; only their id and their actions remain."""

    customer_id: UUID


type CustomerEvent = (
    CustomerRegisteredV1
    | CustomerRenamedV1
    | CustomerEmailChangedV1
    | CustomerAddressAddedV1
    | CustomerAddressChangedV1
    | CustomerAddressRemovedV1
    | CustomerDefaultAddressChangedV1
    | CustomerPreferencesChangedV1
    | CustomerErasureAskedV1
    | CustomerErasureWithdrawnV1
    | CustomerErasedV1
)

ON_TOPIC = get_args(CustomerEvent.__value__)
"""Every class of this context's topic; each subscriber receives all of them."""
