"""A product of the catalogue: its name, description, category and price."""

from typing import Self, assert_never, override
from uuid import UUID

from shared.catalog.events import ProductAddedV1, ProductEvent, ProductPriceChangedV1, ProductRenamedV1
from shared.kernel.aggregate import Aggregate
from shared.kernel.money import CURRENCIES, MAX_MINOR_UNITS, Money, fits
from shared.kernel.refusals import InputError, Invalid


class Product(Aggregate[ProductEvent]):
    """A product that the shop sells; its currency never changes."""

    product_id: UUID
    name: str
    description: str
    price: Money
    category: str

    @classmethod
    def add(cls, product_id: UUID, name: str, description: str, price: Money, category: str) -> Self:
        """Add a product to the catalogue."""
        _require_payable(price)
        product = cls()
        product._record(ProductAddedV1(product_id, name, description, price.amount, price.currency, category))
        return product

    def change_price(self, price: Money) -> None:
        """Change the price."""
        _require_payable(price)
        self._record(ProductPriceChangedV1(self.product_id, price.amount, price.currency))

    def rename(self, name: str) -> None:
        """Change the name."""
        self._record(ProductRenamedV1(self.product_id, name))

    @override
    def _apply(self, event: ProductEvent) -> None:
        match event:
            case ProductAddedV1():
                self.product_id, self.name, self.description = event.product_id, event.name, event.description
                self.price, self.category = Money(event.unit_price, event.currency), event.category
            case ProductPriceChangedV1():
                self.price = Money(event.unit_price, event.currency)
            case ProductRenamedV1():
                self.name = event.name
            case _:
                assert_never(event)


def _require_payable(price: Money) -> None:
    """Refuse a price with more digits than its currency has, or one too large for totals."""
    if not fits(price.amount, price.currency):
        digits = CURRENCIES[price.currency]
        detail = f"{price.currency} has {digits or 'no'} digits after the point"
    elif price.minor > MAX_MINOR_UNITS:
        detail = f"should be at most {Money.from_minor(MAX_MINOR_UNITS, price.currency)} {price.currency}"
    else:
        return
    raise Invalid("The price is not valid.", [InputError("/unitPrice", detail)])
