"""Money is exact, and knows the digits of every currency."""

from decimal import Decimal

import pytest
from babel.core import get_global
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.money import CURRENCIES, MAX_MINOR_UNITS, Money, fits, in_major_units

amounts = st.integers(0, MAX_MINOR_UNITS)
currencies = st.sampled_from(sorted(CURRENCIES))


@given(amounts, currencies)
def test_minor_units_and_back_lose_nothing(units: int, currency: str) -> None:
    money = Money.from_minor(units, currency)
    assert money.minor == units
    assert fits(money.amount, currency)


@given(amounts, currencies)
def test_money_is_written_with_exactly_its_currencys_digits(units: int, currency: str) -> None:
    text = str(Money.from_minor(units, currency))
    assert len(text.partition(".")[2]) == CURRENCIES[currency]
    assert Money(Decimal(text), currency).minor == units


@given(st.integers(-MAX_MINOR_UNITS, MAX_MINOR_UNITS), currencies)
def test_minor_units_are_written_as_the_money_that_they_are(units: int, currency: str) -> None:
    assert in_major_units(units, currency) == str(Money.from_minor(units, currency))


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [("12.5", "EUR", "12.50"), ("1200", "JPY", "1200"), ("1.2E+3", "JPY", "1200"), ("0.125", "KWD", "0.125")],
)
def test_money_is_written_plainly(amount: str, currency: str, text: str) -> None:
    assert str(Money(Decimal(amount), currency)) == text


@given(amounts, currencies)
def test_a_part_of_the_smallest_coin_does_not_fit(units: int, currency: str) -> None:
    tenth = Decimal(1).scaleb(-CURRENCIES[currency] - 1)
    assert not fits(Money.from_minor(units, currency).amount + tenth, currency)


def test_the_currencies_are_those_that_are_legal_tender_somewhere() -> None:
    # CLDR's list, from Unicode, against ours, from ISO 4217: two that ISO lists and CLDR holds for out of use
    territories = get_global("territory_currencies")
    in_use = {
        code for entries in territories.values() for code, _begin, end, tender in entries if tender and end is None
    }
    assert set(CURRENCIES) - in_use == {"SVC", "VED"}
    assert in_use - set(CURRENCIES) == set()


def test_the_digits_are_those_of_cldr_except_where_it_tells_custom_from_iso_4217() -> None:
    # CLDR's digits are those that people write; of these currencies ISO 4217 counts coins that inflation has taken
    # out of use. Ours follow ISO: an amount that banks exchange must fit.
    fractions = get_global("currency_fractions")
    differing = {
        code: digits for code, digits in CURRENCIES.items() if digits != fractions.get(code, fractions["DEFAULT"])[0]
    }
    unused_coins = "AFN ALL IRR KPW LAK LBP MGA MMK RSD SOS SYP YER".split()
    assert differing == dict.fromkeys(unused_coins, 2) | {"IQD": 3}
