"""How customers are loaded and saved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, override
from uuid import UUID

import sqlalchemy as sa

from shared.customers.domain.customer import Customer, Preferences
from shared.customers.domain.errors import CustomerAlreadyExists, CustomerNotFound, EmailTaken
from shared.customers.events import (
    CustomerAddress,
    CustomerAddressAddedV1,
    CustomerAddressChangedV1,
    CustomerAddressRemovedV1,
    CustomerEmailChangedV1,
    CustomerErasedV1,
)
from shared.customers.tables import ADDRESSES, CUSTOMERS, EMAILS, LOG
from shared.frame.sql.columns import UtcDateTime
from shared.frame.sql.reading import read_from
from shared.frame.sql.unsniffed import Unsniffed
from shared.frame.write_side.repository import Repository
from shared.frame.write_side.writes import Write, by_name, insert, versioned_update

_ID = sa.bindparam("id", type_=sa.Uuid)
_ADDRESS_COLUMNS = tuple(column for column in ADDRESSES.c if column.name != "customer_id")
_IS_ADDRESS = (ADDRESSES.c.customer_id == _ID, ADDRESSES.c.address_id == sa.bindparam("of_address", type_=sa.Uuid))

LOAD = (
    sa.select(CUSTOMERS, *_ADDRESS_COLUMNS)
    .select_from(CUSTOMERS.outerjoin(ADDRESSES))
    .where(CUSTOMERS.c.customer_id == _ID)
    .order_by(ADDRESSES.c.place)
)
INSERT = insert(CUSTOMERS)
UPDATE = versioned_update(
    CUSTOMERS,
    CUSTOMERS.c.version,
    CUSTOMERS.c.name,
    CUSTOMERS.c.email,
    CUSTOMERS.c.default_address_id,
    CUSTOMERS.c.language,
    CUSTOMERS.c.currency,
    CUSTOMERS.c.newsletter,
    CUSTOMERS.c.erase_at,
    CUSTOMERS.c.erased,
    CUSTOMERS.c.changed_at,
)
INSERT_ADDRESS = insert(ADDRESSES)
UPDATE_ADDRESS = Write(
    sa.update(ADDRESSES)
    .where(*_IS_ADDRESS)
    .values(
        by_name(
            ADDRESSES.c.label,
            ADDRESSES.c.street,
            ADDRESSES.c.city,
            ADDRESSES.c.postal_code,
            ADDRESSES.c.region,
            ADDRESSES.c.country,
        )
    )
)
DELETE_ADDRESS = Write(sa.delete(ADDRESSES).where(*_IS_ADDRESS))
DELETE_ADDRESSES = Write(sa.delete(ADDRESSES).where(ADDRESSES.c.customer_id == _ID))
INSERT_EMAIL = insert(EMAILS)
DELETE_EMAIL = Write(
    sa.delete(EMAILS).where(
        EMAILS.c.address == sa.bindparam("old_address", type_=EMAILS.c.address.type), EMAILS.c.customer_id == _ID
    )
)
DUE = (
    sa.select(CUSTOMERS.c.customer_id)
    .where(
        CUSTOMERS.c.erase_at <= sa.bindparam("now", type_=UtcDateTime),
        CUSTOMERS.c.customer_id > sa.bindparam("after", type_=sa.Uuid),
    )
    .order_by(CUSTOMERS.c.customer_id)
    .limit(100)
)
COUNT_ERASED = sa.select(sa.func.count()).select_from(CUSTOMERS).where(CUSTOMERS.c.erased == sa.literal_column("1"))
OWNER = Unsniffed(EMAILS.c.customer_id).where(EMAILS.c.address == sa.bindparam("address", type_=EMAILS.c.address.type))


class Customers(Repository[Customer]):
    """The customers."""

    noun, key = "customer", "customer_id"
    log, select, insert, update = LOG, LOAD, INSERT, UPDATE
    missing, taken = CustomerNotFound, CustomerAlreadyExists

    @override
    def _aggregate(self, rows: Sequence[sa.Row[Any]]) -> Customer:
        customer = customer_of(rows)
        self._email = customer.email
        return customer

    @override
    def _may_access(self, row: sa.Row[Any]) -> bool:
        return not row.erased and self._metadata.reaches(row.customer_id)

    @override
    def _immutable_columns(self, customer: Customer) -> Mapping[str, Any]:
        return {}

    @override
    def _mutable_columns(self, customer: Customer) -> Mapping[str, Any]:
        return {
            "name": customer.name,
            "email": customer.email,
            "default_address_id": customer.default_address_id,
            "language": customer.preferences.language,
            "currency": customer.preferences.currency,
            "newsletter": customer.preferences.newsletter,
            "erase_at": customer.erase_at,
            "erased": customer.erased,
        }

    @override
    def _insert_children(self, customer: Customer) -> None:
        self._take_email(customer)

    @override
    def _update_children(self, customer: Customer) -> None:
        for place, event in enumerate(customer.pending_events, customer.loaded_version + 1):
            keys = {"id": customer.customer_id}
            match event:
                case CustomerEmailChangedV1() if compared(event.email) != compared(self._email):
                    self._work.write(DELETE_EMAIL, [keys | {"old_address": compared(self._email)}])
                    self._take_email(customer)
                case CustomerAddressAddedV1():
                    ids = {"customer_id": customer.customer_id, "address_id": event.address_id, "place": place}
                    self._work.write(INSERT_ADDRESS, [ids | asdict(event.address)])
                case CustomerAddressChangedV1():
                    row = keys | {"of_address": event.address_id} | asdict(event.address)
                    self._work.write(UPDATE_ADDRESS, [row], must_find=True)
                case CustomerAddressRemovedV1():
                    self._work.write(DELETE_ADDRESS, [keys | {"of_address": event.address_id}], must_find=True)
                case CustomerErasedV1():
                    self._work.write(DELETE_EMAIL, [keys | {"old_address": compared(self._email)}])
                    self._work.write(DELETE_ADDRESSES, [keys])
                case _:
                    pass  # the other events change the customer's own row alone

    def _take_email(self, customer: Customer) -> None:
        taken = EmailTaken("A customer with this e-mail address is registered already.")
        row = {"address": compared(customer.email), "customer_id": customer.customer_id}
        self._work.write(INSERT_EMAIL, [row], otherwise=taken)


def compared(email: str) -> str:
    """Give an e-mail address in the form that is compared: no provider of note distinguishes addresses by case."""
    return email.casefold()


def customer_as_stored(reader: sa.Engine, customer_id: UUID) -> Customer | None:
    """Read a customer; None if there is none."""
    rows = read_from(reader, lambda connection: connection.execute(LOAD, {"id": customer_id}).all())
    return customer_of(rows) if rows and not rows[0].erased else None


def due_erasures(reader: sa.Engine, now: datetime) -> Iterator[UUID]:
    """Give the ids of the customers whose erasure is due."""
    values = {"now": now, "after": UUID(int=0)}
    while ids := read_from(reader, lambda connection: connection.execute(DUE, values).scalars().all()):
        yield from ids
        values["after"] = ids[-1]


def owner_of(reader: sa.Engine, email: str) -> UUID | None:
    """Give the customer who is registered with an e-mail address."""
    values = {"address": compared(email)}
    return read_from(reader, lambda connection: connection.execute(OWNER, values).scalar_one_or_none())


def customer_of(rows: Sequence[sa.Row[Any]]) -> Customer:
    """Make a customer of the rows that LOAD finds."""
    head = rows[0]
    customer = Customer()
    customer.customer_id, customer.version = head.customer_id, head.version
    customer.name, customer.email = head.name, head.email
    customer.default_address_id = head.default_address_id
    customer.preferences = Preferences(head.language, head.currency, head.newsletter)
    customer.erase_at, customer.erased = head.erase_at, head.erased
    customer.addresses = {
        row.address_id: CustomerAddress(row.label, row.street, row.city, row.postal_code, row.region, row.country)
        for row in rows
        if row.address_id is not None
    }
    return customer
