"""Change a product's price."""

from shared.catalog.repository import Products
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Amount, Id, Input
from shared.kernel.money import Money
from shared.story import PRODUCT_ID


class ChangePrice(Input, json_schema_extra=example(productId=PRODUCT_ID, unitPrice="21.50")):
    """Change a product's price, in the currency that it has."""

    product_id: Id
    unit_price: Amount


def change_price(command: ChangePrice, products: Products) -> Accepted:
    """Change the price; refused as Product.change_price says."""
    product = products.load(command.product_id)
    product.change_price(Money(command.unit_price, product.price.currency))
    return products.save(product)
