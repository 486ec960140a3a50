"""A customer: a name, an e-mail address, postal addresses, and preferences."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self, assert_never, override
from uuid import UUID

from shared.customers.domain.errors import (
    AddressAlreadyExists,
    AddressNotFound,
    ErasureAsked,
    ErasureNotAsked,
    TooManyAddresses,
)
from shared.customers.events import (
    CustomerAddress,
    CustomerAddressAddedV1,
    CustomerAddressChangedV1,
    CustomerAddressRemovedV1,
    CustomerDefaultAddressChangedV1,
    CustomerEmailChangedV1,
    CustomerErasedV1,
    CustomerErasureAskedV1,
    CustomerErasureWithdrawnV1,
    CustomerEvent,
    CustomerPreferencesChangedV1,
    CustomerRegisteredV1,
    CustomerRenamedV1,
)
from shared.kernel.aggregate import Aggregate
from shared.kernel.personal import ERASED

MAX_ADDRESSES = 50


@dataclass(frozen=True, slots=True)
class Preferences:
    """A customer's preferences; None where the customer has chosen nothing."""

    language: str | None = None
    currency: str | None = None
    newsletter: bool = False


class Customer(Aggregate[CustomerEvent]):
    """Somebody who may order."""

    customer_id: UUID
    name: str
    email: str

    def __init__(self) -> None:
        super().__init__()
        self.addresses: dict[UUID, CustomerAddress] = {}
        self.default_address_id: UUID | None = None
        self.preferences = Preferences()
        self.erase_at: datetime | None = None
        self.erased = False

    @classmethod
    def register(cls, customer_id: UUID, name: str, email: str) -> Self:
        """Make somebody a customer."""
        customer = cls()
        customer._record(CustomerRegisteredV1(customer_id, name, email))
        return customer

    def rename(self, name: str) -> None:
        """Change the name."""
        self._record(CustomerRenamedV1(self.customer_id, name))

    def change_email(self, email: str) -> None:
        """Change the e-mail address."""
        self._record(CustomerEmailChangedV1(self.customer_id, email))

    def add_address(self, address_id: UUID, address: CustomerAddress) -> None:
        """Add an address. The first one is the default."""
        if address_id in self.addresses:
            raise AddressAlreadyExists(f"Customer {self.customer_id} has an address {address_id} already.")
        if len(self.addresses) >= MAX_ADDRESSES:
            raise TooManyAddresses(f"A customer keeps at most {MAX_ADDRESSES} addresses.")
        is_default = not self.addresses
        self._record(CustomerAddressAddedV1(self.customer_id, address_id, address, is_default))

    def change_address(self, address_id: UUID, address: CustomerAddress) -> None:
        """Replace an address."""
        self._require_address(address_id)
        self._record(CustomerAddressChangedV1(self.customer_id, address_id, address))

    def remove_address(self, address_id: UUID) -> None:
        """Remove an address. If it was the default, no other one takes its place."""
        self._require_address(address_id)
        was_default = address_id == self.default_address_id
        self._record(CustomerAddressRemovedV1(self.customer_id, address_id, was_default))

    def make_default(self, address_id: UUID) -> None:
        """Make an address the default, for orders that name no address."""
        self._require_address(address_id)
        self._record(CustomerDefaultAddressChangedV1(self.customer_id, address_id))

    def prefer(self, preferences: Preferences) -> None:
        """Replace the preferences."""
        self._record(
            CustomerPreferencesChangedV1(
                self.customer_id, preferences.language, preferences.currency, preferences.newsletter
            )
        )

    def ask_erasure(self, due_at: datetime, reason: str) -> None:
        """Schedule the erasure of the customer for `due_at` or later."""
        if self.erase_at is not None:
            raise ErasureAsked(f"Customer {self.customer_id} is to be erased already.")
        self._record_past_limit(CustomerErasureAskedV1(self.customer_id, due_at, reason))

    def withdraw_erasure(self) -> None:
        """Withdraw the scheduled erasure."""
        if self.erase_at is None:
            raise ErasureNotAsked(f"Customer {self.customer_id} is not to be erased.")
        self._record_past_limit(CustomerErasureWithdrawnV1(self.customer_id))

    def erase(self, now: datetime) -> None:
        """Erase the customer's data, if the time for it has come."""
        if self.erase_at is None or now < self.erase_at:
            raise ErasureNotAsked(f"Customer {self.customer_id} is not to be erased now.")
        self._record_past_limit(CustomerErasedV1(self.customer_id))

    def _require_address(self, address_id: UUID) -> None:
        if address_id not in self.addresses:
            raise AddressNotFound(f"Customer {self.customer_id} has no address {address_id}.")

    @override
    def _apply(self, event: CustomerEvent) -> None:  # noqa: C901  # a case for each event
        match event:
            case CustomerRegisteredV1():
                self.customer_id, self.name, self.email = event.customer_id, event.name, event.email
            case CustomerRenamedV1():
                self.name = event.name
            case CustomerEmailChangedV1():
                self.email = event.email
            case CustomerAddressAddedV1():
                self.addresses = self.addresses | {event.address_id: event.address}
                self.default_address_id = event.address_id if event.is_default else self.default_address_id
            case CustomerAddressChangedV1():
                self.addresses = self.addresses | {event.address_id: event.address}
            case CustomerAddressRemovedV1():
                self.addresses = {id_: kept for id_, kept in self.addresses.items() if id_ != event.address_id}
                self.default_address_id = None if event.was_default else self.default_address_id
            case CustomerDefaultAddressChangedV1():
                self.default_address_id = event.address_id
            case CustomerPreferencesChangedV1():
                self.preferences = Preferences(event.language, event.currency, event.newsletter)
            case CustomerErasureAskedV1():
                self.erase_at = event.due_at
            case CustomerErasureWithdrawnV1():
                self.erase_at = None
            case CustomerErasedV1():
                self.name = self.email = ERASED
                self.addresses, self.default_address_id = {}, None
                self.preferences = Preferences()
                self.erase_at, self.erased = None, True
            case _:
                assert_never(event)
