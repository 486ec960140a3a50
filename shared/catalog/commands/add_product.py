"""Add a product to the catalogue."""

from typing import Annotated
from uuid import uuid4

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from shared.catalog.domain.product import Product
from shared.catalog.repository import Products
from shared.kernel.money import CURRENCIES, Money
from shared.messaging.envelope import Accepted
from shared.platform.examples import PRODUCT_ID, example
from shared.platform.input import Id, Input, Name, Price, Text


def _known(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("should be a currency code of ISO 4217, in capitals")
    return code


Currency = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(CURRENCIES)})]


class AddProduct(
    Input,
    json_schema_extra=example(
        productId=PRODUCT_ID,
        name="Teapot",
        description="Holds a litre.",
        unitPrice="19.90",
        currency="EUR",
        category="Kitchen",
    ),
):
    """Add a product; its currency is for good."""

    product_id: Id = Field(default_factory=uuid4, description="chosen by the caller, so that a retry is safe")
    name: Name
    description: Annotated[Text, StringConstraints(max_length=2000)] = ""
    unit_price: Price
    currency: Currency
    category: Annotated[Text, StringConstraints(min_length=1, max_length=100)]


def add_product(command: AddProduct, products: Products) -> Accepted:
    """Add it.

    Raises:
        Invalid: the price has more digits than the currency, or is too large.
        ProductAlreadyExists: the id is taken.
    """
    price = Money(command.unit_price, command.currency)
    return products.save(Product.add(command.product_id, command.name, command.description, price, command.category))
