"""Rename a product."""

from shared.catalog.repository import Products
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, Name
from shared.story import PRODUCT_ID


class RenameProduct(Input, json_schema_extra=example(productId=PRODUCT_ID, name="Large teapot")):
    """Change a product's name; orders that have the product show the new name."""

    product_id: Id
    name: Name


def rename_product(command: RenameProduct, products: Products) -> Accepted:
    """Rename it."""
    product = products.load(command.product_id)
    product.rename(command.name)
    return products.save(product)
