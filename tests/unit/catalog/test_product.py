"""Every rule of a product."""

from copy import deepcopy
from decimal import Decimal
from uuid import uuid4

import pytest

from shared.catalog.domain.product import Product
from shared.catalog.events import ProductAddedV1, ProductPriceChangedV1, ProductRenamedV1
from shared.kernel.money import Money
from shared.kernel.refusals import InputError, Invalid


def a_product(price: Money) -> Product:
    return Product.add(uuid4(), "Tea", "Green", price, "Drinks")


def test_a_product_is_added_repriced_and_renamed() -> None:
    product_id = uuid4()

    product = Product.add(product_id, "Tea", "Green", Money(Decimal("2.50"), "EUR"), "Drinks")
    product.change_price(Money(Decimal("2.75"), "EUR"))
    product.rename("Green tea")

    assert product.pending_events == [
        ProductAddedV1(product_id, "Tea", "Green", Decimal("2.50"), "EUR", "Drinks"),
        ProductPriceChangedV1(product_id, Decimal("2.75"), "EUR"),
        ProductRenamedV1(product_id, "Green tea"),
    ]
    assert (product.name, product.description, product.category) == ("Green tea", "Green", "Drinks")
    assert product.price == Money(Decimal("2.75"), "EUR")
    assert product.version == 3


def test_folding_the_events_of_a_product_gives_the_product() -> None:
    product = a_product(Money(Decimal(2), "EUR"))
    product.change_price(Money(Decimal(3), "EUR"))
    product.rename("Green tea")
    assert vars(Product.fold(product.pending_events)) == vars(product) | {"pending_events": []}


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("0", "EUR"),
        ("0.01", "EUR"),
        ("2.500", "EUR"),
        ("1E+2", "JPY"),
        ("0.001", "KWD"),
        ("10000000000.00", "EUR"),
        ("1000000000000", "JPY"),
        ("1000000000.000", "KWD"),
    ],
)
def test_a_price_may_have_its_currencys_digits_and_reach_the_limit(amount: str, currency: str) -> None:
    price = Money(Decimal(amount), currency)
    assert a_product(price).price == price


REFUSED = [
    ("0.001", "EUR", "EUR has 2 digits after the point"),
    ("1.5", "JPY", "JPY has no digits after the point"),
    ("0.0001", "KWD", "KWD has 3 digits after the point"),
    ("10000000000.01", "EUR", "should be at most 10000000000.00 EUR"),
    ("1000000000001", "JPY", "should be at most 1000000000000 JPY"),
    ("1000000000.001", "KWD", "should be at most 1000000000.000 KWD"),
]


@pytest.mark.parametrize(("amount", "currency", "detail"), REFUSED)
def test_a_product_that_nobody_can_pay_is_not_added(amount: str, currency: str, detail: str) -> None:
    with pytest.raises(Invalid) as caught:
        a_product(Money(Decimal(amount), currency))
    assert (caught.value.code, caught.value.detail) == ("invalid", "The price is not valid.")
    assert caught.value.errors == (InputError("/unitPrice", detail),)


@pytest.mark.parametrize(("amount", "currency", "detail"), REFUSED)
def test_a_price_that_nobody_can_pay_is_refused_and_the_old_one_stays(amount: str, currency: str, detail: str) -> None:
    product = a_product(Money(Decimal(1), currency))
    before = deepcopy(vars(product))
    with pytest.raises(Invalid) as caught:
        product.change_price(Money(Decimal(amount), currency))
    assert caught.value.errors == (InputError("/unitPrice", detail),)
    assert vars(product) == before
