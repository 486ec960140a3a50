"""A product of the catalogue: what it is called and what it costs."""

from typing import Self, assert_never, override
from uuid import UUID

from shared.catalog.events import OfferEvent, ProductAddedV1, ProductPriceChangedV1, ProductRenamedV1
from shared.kernel.aggregate import Aggregate
from shared.kernel.money import CURRENCIES, MAX_MINOR_UNITS, Money, fits
from shared.kernel.refusals import InputError, Invalid


class Product(Aggregate[OfferEvent]):
    """Something that the shop sells, in one currency for good."""

    product_id: UUID
    name: str
    description: str
    price: Money
    category: str

    @classmethod
    def add(cls, product_id: UUID, name: str, description: str, price: Money, category: str) -> Self:
        """Bring a product into the catalogue."""
        _require_payable(price)
        product = cls()
        product._record(ProductAddedV1(product_id, name, description, price.amount, price.currency, category))
        return product

    def change_price(self, price: Money) -> None:
        """Let it cost something else from now on."""
        _require_payable(price)
        self._record(ProductPriceChangedV1(self.product_id, price.amount, price.currency))

    def rename(self, name: str) -> None:
        """Call it something else from now on."""
        self._record(ProductRenamedV1(self.product_id, name))

    @override
    def _apply(self, event: OfferEvent) -> None:
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
    """Refuse what nobody can pay: parts of the smallest coin, and sums beyond what totals can hold."""
    if not fits(price.amount, price.currency):
        digits = CURRENCIES[price.currency]
        detail = f"{price.currency} has {digits or 'no'} digits after the point"
    elif price.minor > MAX_MINOR_UNITS:
        detail = f"should be at most {Money.from_minor(MAX_MINOR_UNITS, price.currency)} {price.currency}"
    else:
        return
    raise Invalid("The price is not valid.", [InputError("/unitPrice", detail)])
