"""How customers are loaded and saved."""

from uuid import UUID

import sqlalchemy as sa

from shared.customers.domain.customer import Customer
from shared.customers.domain.errors import CustomerAlreadyExists, CustomerNotFound
from shared.customers.tables import CUSTOMERS, LOG
from shared.kernel.refusals import StaleVersion
from shared.messaging.envelope import Accepted, Metadata
from shared.platform.write_side import LostRace

_ID = sa.bindparam("id", type_=sa.Uuid)

LOAD = sa.select(CUSTOMERS).where(CUSTOMERS.c.customer_id == _ID)
INSERT = sa.insert(CUSTOMERS)
UPDATE = (
    sa.update(CUSTOMERS)
    .where(CUSTOMERS.c.customer_id == _ID, CUSTOMERS.c.version == sa.bindparam("loaded_version", type_=sa.BigInteger))
    .values(
        {
            column: sa.bindparam(column.name)
            for column in (CUSTOMERS.c.version, CUSTOMERS.c.name, CUSTOMERS.c.changed_at)
        }
    )
)


class Customers:
    """The customers, within one transaction and on behalf of one command."""

    def __init__(self, connection: sa.Connection, metadata: Metadata) -> None:
        self._connection = connection
        self._metadata = metadata

    def load(self, customer_id: UUID) -> Customer:
        """Load a customer.

        Raises:
            CustomerNotFound: there is none with this id.
            StaleVersion: the customer is not at the version that the caller acts on.
        """
        row = self._connection.execute(LOAD, {"id": customer_id}).one_or_none()
        if row is None:
            raise CustomerNotFound(f"There is no customer {customer_id}.")
        expected = self._metadata.expected_version
        if expected is not None and expected != row.version:
            raise StaleVersion(f"Customer {customer_id} is at version {row.version}, not {expected}.")
        customer = Customer()
        customer.customer_id, customer.version = row.customer_id, row.version
        customer.name, customer.email = row.name, row.email
        return customer

    def save(self, customer: Customer) -> Accepted:
        """Write what the command changed, and its events.

        Raises:
            CustomerAlreadyExists: a new customer's id is taken.
            LostRace: another command changed the customer since it was loaded.
        """
        changed = {"version": customer.version, "name": customer.name, "changed_at": self._metadata.at}
        if customer.loaded_version == 0:
            self._insert(customer, changed)
        else:
            keys = {"id": customer.customer_id, "loaded_version": customer.loaded_version}
            if self._connection.execute(UPDATE, keys | changed).rowcount == 0:
                raise LostRace
        LOG.append(self._connection, customer.customer_id, customer.loaded_version, customer.changes, self._metadata)
        return Accepted(customer.customer_id, customer.version)

    def _insert(self, customer: Customer, changed: dict[str, object]) -> None:
        if self._metadata.expected_version is not None:
            raise StaleVersion("A customer who is yet to be registered has no version.")
        try:
            self._connection.execute(INSERT, {"customer_id": customer.customer_id, "email": customer.email} | changed)
        except sa.exc.IntegrityError as error:
            raise CustomerAlreadyExists(f"There is a customer {customer.customer_id} already.") from error
