"""A customer's profile, for the customer and for the shop: read from the tables, which have the newest version.

There is no read model of profiles: customers want to see a changed address at once, profiles are read rarely, and each
copy less is one less to erase (ADR 34). The index that keeps e-mail addresses unique also finds a customer by address.
"""

from typing import Annotated
from uuid import UUID

import sqlalchemy as sa

from shared.customers.domain.customer import Customer
from shared.customers.domain.errors import CustomerNotFound
from shared.customers.repository import customer_as_stored, owner_of
from shared.frame.platform.examples import example
from shared.frame.platform.input import Email, OwnerId, QueryInput
from shared.frame.platform.output import Answer
from shared.frame.read_side.read_your_writes import Wait
from shared.frame.write_side.concurrency_limit import FairConcurrencyLimit
from shared.kernel.personal import PERSONAL
from shared.story import CUSTOMER_ID

CONCURRENCY, MAX_WAITING = 4, 64
"""Profiles that one process reads at once, and the most requests for them that may run or wait."""


class ProfileAddress(Answer):
    """An address of the customer."""

    address_id: UUID
    label: str | None
    street: str
    city: str
    postal_code: str
    region: str | None
    country: str | None


class CustomerPreferences(Answer):
    """The customer's preferences; null where the customer has chosen nothing."""

    language: str | None
    currency: str | None
    newsletter: bool


class CustomerProfile(Answer):
    """A customer; the addresses in the order in which they were added."""

    customer_id: UUID
    name: str
    email: str
    addresses: list[ProfileAddress]
    default_address_id: UUID | None
    preferences: CustomerPreferences
    version: int


class ReadProfile(QueryInput, json_schema_extra=example(customerId=CUSTOMER_ID)):
    """A customer: name, addresses and preferences, as they are now."""

    customer_id: OwnerId


class FindByEmail(QueryInput, json_schema_extra=example(email="ada@example.com")):
    """The customer who is registered with an e-mail address; upper and lower case are the same."""

    email: Annotated[Email, PERSONAL]


class Profiles:
    """Reads customers, within a concurrency limit that is fair to callers."""

    def __init__(self, reader: sa.Engine) -> None:
        self._reader = reader
        self._limit = FairConcurrencyLimit(CONCURRENCY, MAX_WAITING, kind="reads of customers")

    async def read_profile(self, query: ReadProfile, wait: Wait) -> tuple[CustomerProfile, int]:
        """Read a customer and the version.

        Raises:
            CustomerNotFound: there is no such customer.
            Unavailable: the request did not have its turn in time.
        """
        return await self._limit.take_for(wait.caller, lambda: self._profile(query.customer_id))

    async def find_by_email(self, query: FindByEmail, wait: Wait) -> tuple[CustomerProfile, int]:
        """Read the customer with this e-mail address; raises as read_profile."""

        def find() -> tuple[CustomerProfile, int]:
            customer_id = owner_of(self._reader, query.email)
            if customer_id is None:
                raise CustomerNotFound("There is no customer with this e-mail address.")
            return self._profile(customer_id)

        return await self._limit.take_for(wait.caller, find)

    def _profile(self, customer_id: UUID) -> tuple[CustomerProfile, int]:
        customer = customer_as_stored(self._reader, customer_id)
        if customer is None:
            raise CustomerNotFound(f"There is no customer {customer_id}.")
        return _shown(customer), customer.version


def _shown(customer: Customer) -> CustomerProfile:
    return CustomerProfile(
        customer_id=customer.customer_id,
        name=customer.name,
        email=customer.email,
        addresses=[
            ProfileAddress(
                address_id=address_id,
                label=address.label,
                street=address.street,
                city=address.city,
                postal_code=address.postal_code,
                region=address.region,
                country=address.country,
            )
            for address_id, address in customer.addresses.items()
        ],
        default_address_id=customer.default_address_id,
        preferences=CustomerPreferences(
            language=customer.preferences.language,
            currency=customer.preferences.currency,
            newsletter=customer.preferences.newsletter,
        ),
        version=customer.version,
    )
