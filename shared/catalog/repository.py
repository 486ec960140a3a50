"""How products are loaded and saved."""

from uuid import UUID

import sqlalchemy as sa

from shared.catalog.domain.errors import ProductAlreadyExists, ProductNotFound
from shared.catalog.domain.product import Product
from shared.catalog.tables import LOG, PRODUCTS
from shared.kernel.money import Money
from shared.kernel.refusals import StaleVersion
from shared.messaging.envelope import Accepted, Metadata
from shared.platform.write_side import LostRace

_ID = sa.bindparam("id", type_=sa.Uuid)

LOAD = sa.select(PRODUCTS).where(PRODUCTS.c.product_id == _ID)
INSERT = sa.insert(PRODUCTS)
UPDATE = (
    sa.update(PRODUCTS)
    .where(PRODUCTS.c.product_id == _ID, PRODUCTS.c.version == sa.bindparam("loaded_version", type_=sa.BigInteger))
    .values(
        {
            column: sa.bindparam(column.name)
            for column in (PRODUCTS.c.version, PRODUCTS.c.name, PRODUCTS.c.unit_price, PRODUCTS.c.changed_at)
        }
    )
)


class Products:
    """The products, within one transaction and on behalf of one command."""

    def __init__(self, connection: sa.Connection, metadata: Metadata) -> None:
        self._connection = connection
        self._metadata = metadata

    def load(self, product_id: UUID) -> Product:
        """Load a product.

        Raises:
            ProductNotFound: there is none with this id.
            StaleVersion: it is not at the version that the caller acts on.
        """
        row = self._connection.execute(LOAD, {"id": product_id}).one_or_none()
        if row is None:
            raise ProductNotFound(f"There is no product {product_id}.")
        expected = self._metadata.expected_version
        if expected is not None and expected != row.version:
            raise StaleVersion(f"Product {product_id} is at version {row.version}, not {expected}.")
        product = Product()
        product.product_id, product.version, product.name = row.product_id, row.version, row.name
        product.description, product.category = row.description, row.category
        product.price = Money(row.unit_price, row.currency)
        return product

    def save(self, product: Product) -> Accepted:
        """Write what the command changed, and its events.

        Raises:
            ProductAlreadyExists: a new product's id is taken.
            LostRace: another command changed the product since it was loaded.
        """
        changed = {
            "version": product.version,
            "name": product.name,
            "unit_price": product.price.amount,
            "changed_at": self._metadata.at,
        }
        if product.loaded_version == 0:
            self._insert(product, changed)
        else:
            keys = {"id": product.product_id, "loaded_version": product.loaded_version}
            if self._connection.execute(UPDATE, keys | changed).rowcount == 0:
                raise LostRace
        LOG.append(self._connection, product.product_id, product.loaded_version, product.changes, self._metadata)
        return Accepted(product.product_id, product.version)

    def _insert(self, product: Product, changed: dict[str, object]) -> None:
        if self._metadata.expected_version is not None:
            raise StaleVersion("A product that is yet to be added has no version.")
        fixed = {
            "product_id": product.product_id,
            "description": product.description,
            "currency": product.price.currency,
            "category": product.category,
        }
        try:
            self._connection.execute(INSERT, fixed | changed)
        except sa.exc.IntegrityError as error:
            raise ProductAlreadyExists(f"There is a product {product.product_id} already.") from error
