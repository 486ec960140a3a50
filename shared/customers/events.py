"""The published events of customers; see ordering's events for the rules."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.kernel.personal import Personal


@dataclass(frozen=True, slots=True)
class CustomerAddress:
    """An address that a customer keeps; `country` is an ISO 3166-1 alpha-2 code, `label` what they call it."""

    label: Personal | None
    street: Personal
    city: Personal
    postal_code: Personal
    region: Personal | None
    country: Personal | None


@dataclass(frozen=True, slots=True)
class CustomerRegisteredV1:
    """Somebody became a customer."""

    customer_id: UUID
    name: Personal
    email: Personal


@dataclass(frozen=True, slots=True)
class CustomerRenamedV1:
    """A customer is called something else from now on."""

    customer_id: UUID
    name: Personal


@dataclass(frozen=True, slots=True)
class CustomerEmailChangedV1:
    """A customer is written to elsewhere from now on."""

    customer_id: UUID
    email: Personal


@dataclass(frozen=True, slots=True)
class CustomerAddressAddedV1:
    """A customer keeps one more address; `is_default`: orders that name none go there from now on."""

    customer_id: UUID
    address_id: UUID
    address: CustomerAddress
    is_default: bool


@dataclass(frozen=True, slots=True)
class CustomerAddressChangedV1:
    """An address that a customer keeps is another one now."""

    customer_id: UUID
    address_id: UUID
    address: CustomerAddress


@dataclass(frozen=True, slots=True)
class CustomerAddressRemovedV1:
    """A customer no longer keeps an address; `was_default`: there is no default any more."""

    customer_id: UUID
    address_id: UUID
    was_default: bool


@dataclass(frozen=True, slots=True)
class CustomerDefaultAddressChangedV1:
    """Orders that name no address go to this one from now on."""

    customer_id: UUID
    address_id: UUID


@dataclass(frozen=True, slots=True)
class CustomerPreferencesChangedV1:
    """What a customer prefers: a language (BCP 47), a currency (ISO 4217), and whether to get the newsletter."""

    customer_id: UUID
    language: Personal | None
    currency: str | None
    newsletter: bool


@dataclass(frozen=True, slots=True)
class CustomerErasureAskedV1:
    """A customer is to be erased, no sooner than `due_at`; it can be withdrawn until it is done."""

    customer_id: UUID
    due_at: datetime
    reason: Personal


@dataclass(frozen=True, slots=True)
class CustomerErasureWithdrawnV1:
    """A customer is not to be erased after all."""

    customer_id: UUID


@dataclass(frozen=True, slots=True)
class CustomerErasedV1:
    """Nothing is known of the customer any more but what they did, by their id."""

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
