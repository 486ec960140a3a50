"""Reference data: ordering's own copy of products and customers; each value is guarded by its event's version.

So late and repeated events change nothing.
"""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.retries import NotYet
from shared.frame.sql.columns import UtcDateTime
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.frame.write_side.writes import Check, Write, insert
from shared.kernel.personal import ERASED
from shared.ordering.events import Address
from shared.ordering.tables import CUSTOMER_ADDRESSES, CUSTOMERS, PRODUCTS

_ID = sa.bindparam("id", type_=sa.Uuid)
_VERSION = sa.bindparam("event_version", type_=sa.BigInteger)

INSERT_PRODUCT = insert(PRODUCTS)
INSERT_CUSTOMER = insert(CUSTOMERS)
RENAME_PRODUCT = Write(
    sa.update(PRODUCTS)
    .where(PRODUCTS.c.product_id == _ID, PRODUCTS.c.name_version < _VERSION)
    .values(name=sa.bindparam("new_name", type_=PRODUCTS.c.name.type), name_version=_VERSION)
)
CHANGE_PRICE = Write(
    sa.update(PRODUCTS)
    .where(PRODUCTS.c.product_id == _ID, PRODUCTS.c.price_version < _VERSION)
    .values(unit_price=sa.bindparam("new_price", type_=PRODUCTS.c.unit_price.type), price_version=_VERSION)
)
RENAME_CUSTOMER = Write(
    sa.update(CUSTOMERS)
    .where(CUSTOMERS.c.customer_id == _ID, CUSTOMERS.c.name_version < _VERSION)
    .values(name=sa.bindparam("new_name", type_=CUSTOMERS.c.name.type), name_version=_VERSION)
)
ERASE_CUSTOMER = Write(
    sa.update(CUSTOMERS)
    .where(CUSTOMERS.c.customer_id == _ID, CUSTOMERS.c.erasure == sa.literal_column("0"))
    .values(
        name=sa.bindparam("new_name", type_=CUSTOMERS.c.name.type),
        name_version=_VERSION,
        erasure=sa.literal_column("1"),
        erasing_since=sa.bindparam("since", type_=UtcDateTime),
    )
)
BLANK_ADDRESSES = Write(
    sa.update(CUSTOMER_ADDRESSES)
    .where(CUSTOMER_ADDRESSES.c.customer_id == _ID)
    .values(version=_VERSION, **dict.fromkeys(("street", "city", "postal_code", "region", "country"), sa.null()))
)
CHANGE_DEFAULT = Write(
    sa.update(CUSTOMERS)
    .where(CUSTOMERS.c.customer_id == _ID, CUSTOMERS.c.default_version < _VERSION)
    .values(default_address_id=sa.bindparam("new_default", type_=sa.Uuid), default_version=_VERSION)
)
_ADDRESS = (
    CUSTOMER_ADDRESSES.c.customer_id == _ID,
    CUSTOMER_ADDRESSES.c.address_id == sa.bindparam("address", type_=sa.Uuid),
)
INSERT_ADDRESS = insert(CUSTOMER_ADDRESSES)
CHANGE_ADDRESS = Write(
    sa.update(CUSTOMER_ADDRESSES)
    .where(*_ADDRESS, CUSTOMER_ADDRESSES.c.version < _VERSION)
    .values(
        version=_VERSION,
        **{
            name: sa.bindparam(f"new_{name}", type_=CUSTOMER_ADDRESSES.c[name].type)
            for name in ("street", "city", "postal_code", "region", "country")
        },
    )
)
LOOK_FOR_ADDRESS = (
    sa.select(CUSTOMERS.c.erasure, CUSTOMERS.c.name_version, CUSTOMER_ADDRESSES.c.version)
    .select_from(
        CUSTOMERS.outerjoin(
            CUSTOMER_ADDRESSES,
            sa.and_(
                CUSTOMER_ADDRESSES.c.customer_id == CUSTOMERS.c.customer_id,
                CUSTOMER_ADDRESSES.c.address_id == sa.bindparam("address", type_=sa.Uuid),
            ),
        )
    )
    .where(CUSTOMERS.c.customer_id == _ID)
)
FIND_ADDRESS = Check(sa.select(CUSTOMER_ADDRESSES.c.version).where(*_ADDRESS))
NOT_BEING_ERASED = Check(
    sa.select(CUSTOMERS.c.customer_id)
    .with_hint(CUSTOMERS, "WITH (UPDLOCK, FORCESEEK)", "mssql")
    .where(CUSTOMERS.c.customer_id == _ID, CUSTOMERS.c.erasure == sa.literal_column("0"))
)
"""On Azure SQL it locks the customer's row until the commit, so an erasure that commits later finds the address. The
lock is one for changes: of two new addresses at a time both may become the default, and deadlock with shared locks."""
FIND_PRODUCT = Check(sa.select(PRODUCTS.c.product_id).where(PRODUCTS.c.product_id == _ID))
FIND_CUSTOMER = Check(sa.select(CUSTOMERS.c.customer_id).where(CUSTOMERS.c.customer_id == _ID))


class NotCopiedYet(NotYet):
    """The first event of a customer, product or address has not arrived."""


class ReferenceData:
    """The copies of products and customers, within one unit of work."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work

    def add_product(self, product_id: UUID, name: str, unit_price: Decimal, currency: str, version: int) -> None:
        """Copy a new product."""
        row = {"product_id": product_id, "name": name, "unit_price": unit_price, "currency": currency}
        self._work.write(INSERT_PRODUCT, [row | {"name_version": version, "price_version": version}])

    def rename_product(self, product_id: UUID, name: str, version: int) -> None:
        """Take over a product's new name. Committing raises NotCopiedYet if the product is unknown."""
        self._update(RENAME_PRODUCT, FIND_PRODUCT, product_id, version, new_name=name)

    def change_price(self, product_id: UUID, unit_price: Decimal, version: int) -> None:
        """Take over a product's new price. Committing raises NotCopiedYet if the product is unknown."""
        self._update(CHANGE_PRICE, FIND_PRODUCT, product_id, version, new_price=unit_price)

    def add_customer(self, customer_id: UUID, name: str, version: int) -> None:
        """Copy a new customer."""
        row = {"customer_id": customer_id, "name": name, "name_version": version}
        of_a_new_one = {"default_address_id": None, "default_version": 0, "erasure": 0, "erasing_since": None}
        self._work.write(INSERT_CUSTOMER, [row | of_a_new_one])

    def rename_customer(self, customer_id: UUID, name: str, version: int) -> None:
        """Take over a customer's new name. Committing raises NotCopiedYet if the customer is unknown."""
        self._update(RENAME_CUSTOMER, FIND_CUSTOMER, customer_id, version, new_name=name)

    def erase_customer(self, customer_id: UUID, version: int) -> None:
        """Erase the copy of a customer, who can order nothing from then on.

        Committing raises NotCopiedYet if the customer is unknown.
        """
        self._update(ERASE_CUSTOMER, FIND_CUSTOMER, customer_id, version, new_name=ERASED, since=datetime.now(UTC))
        self._work.write(BLANK_ADDRESSES, [{"id": customer_id, "event_version": version}])

    def add_address(self, customer_id: UUID, address_id: UUID, address: Address, version: int) -> None:
        """Copy a customer's new address; a removed address may be added again under its old id.

        Of an erased customer it is blank: the event may have been read before the erasure, which may have come first.
        Committing raises LostRace if the customer is erased by then.

        Raises:
            NotCopiedYet: the customer is unknown.
        """
        found = self._work.read(LOOK_FOR_ADDRESS, {"id": customer_id, "address": address_id})
        if not found:
            raise NotCopiedYet(customer_id)
        [customer] = found
        if customer.version is not None:
            self.change_address(customer_id, address_id, address, version)
            return
        key = {"customer_id": customer_id, "address_id": address_id}
        if customer.erasure:  # it stays blank, also when older changes of it come
            row = key | {"version": customer.name_version} | _columns(None)
        else:
            self._work.require(NOT_BEING_ERASED, [{"id": customer_id}])
            row = key | {"version": version} | _columns(address)
        self._work.write(INSERT_ADDRESS, [row])

    def change_address(self, customer_id: UUID, address_id: UUID, address: Address | None, version: int) -> None:
        """Take over a customer's changed address, None if it was removed.

        Committing raises NotCopiedYet if the address is unknown.
        """
        key = {"id": customer_id, "address": address_id}
        self._work.require(FIND_ADDRESS, [key], otherwise=NotCopiedYet(address_id))
        values = {f"new_{name}": value for name, value in _columns(address).items()}
        self._work.write(CHANGE_ADDRESS, [key | {"event_version": version} | values])

    def change_default_address(self, customer_id: UUID, address_id: UUID | None, version: int) -> None:
        """Take over which address is the default. Committing raises NotCopiedYet if the customer is unknown."""
        self._update(CHANGE_DEFAULT, FIND_CUSTOMER, customer_id, version, new_default=address_id)

    def _update(self, update: Write, find: Check, id_: UUID, version: int, **values: object) -> None:
        self._work.require(find, [{"id": id_}], otherwise=NotCopiedYet(id_))
        self._work.write(update, [{"id": id_, "event_version": version} | values])


def _columns(address: Address | None) -> dict[str, str | None]:
    names = ("street", "city", "postal_code", "region", "country")
    return {name: None if address is None else getattr(address, name) for name in names}
