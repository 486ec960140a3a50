"""Products with a past."""

from collections.abc import Sequence
from decimal import Decimal

from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.events import CatalogEvent
from shared.catalog.tables import LOG
from shared.frame.messaging.envelope import Metadata, Recorded
from tests.support.shop import Shop


def a_history(shop: Shop) -> Sequence[Recorded[CatalogEvent]]:
    """A product's five events, of which ordering has followed the first: it was repriced and renamed twice, up to 3."""
    product_id = shop.product("1.00", name="Tea")
    for price, name in (("2.00", "Green tea"), ("3.00", "Sencha")):
        command = ChangePrice(product_id=product_id, unit_price=Decimal(price))
        shop.catalog.run(change_price, command, Metadata())
        shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name=name), Metadata())
    with shop.catalog_engine.connect() as connection:
        return LOG.history(connection, product_id)
