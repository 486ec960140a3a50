"""Amounts in Stripe's smallest units: https://docs.stripe.com/currencies."""

from decimal import Decimal

import pytest

from shared.kernel.money import CURRENCIES, Money
from shared.payments.stripe_amounts import NO_DIGITS, NotPayable, money, units


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("49.80", "EUR", 4980),
        ("4980", "JPY", 4980),
        ("4980", "ISK", 498_000),
        ("4980", "UGX", 498_000),
        ("1.230", "KWD", 1230),
        ("5.00", "MGA", 5),
    ],
)
def test_an_amount_is_what_stripe_takes_it_for(amount: str, currency: str, expected: int) -> None:
    assert units(Money(Decimal(amount), currency)) == expected
    assert money(expected, currency) == Money(Decimal(amount), currency)


@pytest.mark.parametrize(("amount", "currency"), [("1.234", "KWD"), ("5.50", "MGA"), ("0.00", "EUR")])
def test_what_stripe_has_no_units_for_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(NotPayable, match=f"{amount} {currency}"):
        units(Money(Decimal(amount), currency))


def test_every_currency_has_units() -> None:
    assert {*CURRENCIES} >= NO_DIGITS
    assert all(units(Money(Decimal(1), currency)) in {1, 100, 1000} for currency in CURRENCIES)
