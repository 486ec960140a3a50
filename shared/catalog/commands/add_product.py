"""Add a product to the catalogue."""

from typing import Annotated
from uuid import uuid4

from pydantic import Field, StringConstraints

from shared.catalog.domain.product import Product
from shared.catalog.domain.stock import MAX_ON_HAND, Stock
from shared.catalog.repository import Products, Stocks
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Amount, Currency, Input, Name, NewId, Text, Whole
from shared.kernel.money import Money
from shared.story import PRODUCT_ID


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
    """Add a product; its currency can never change."""

    product_id: NewId = Field(default_factory=uuid4, description="chosen by the caller, so that a retry is safe")
    name: Name
    description: Annotated[Text, StringConstraints(max_length=2000)] = ""
    unit_price: Amount
    currency: Currency
    category: Annotated[Text, StringConstraints(min_length=1, max_length=100)]
    initial_stock: Annotated[int, Field(ge=0, le=MAX_ON_HAND), Whole] | None = Field(
        default=None, description="how many pieces there are; without it the product is never out of stock"
    )


def add_product(command: AddProduct, products: Products, stocks: Stocks) -> Accepted:
    """Add it, and its stock if the command gives one.

    Raises:
        Invalid: the price has more digits than the currency, or is too large.
        ProductAlreadyExists: the id is taken.
    """
    price = Money(command.unit_price, command.currency)
    added = products.save(Product.add(command.product_id, command.name, command.description, price, command.category))
    if command.initial_stock is not None:
        stock = Stock.of(command.product_id)
        stock.receive(command.initial_stock)
        stocks.save(stock)
    return added
