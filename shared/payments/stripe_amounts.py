"""Amounts as Stripe writes them: whole numbers of a currency's smallest units, with Stripe's exceptions."""

from decimal import Decimal

from shared.kernel.money import CURRENCIES, Money

AS_TWO_DIGITS = frozenset({"ISK", "UGX"})
"""Stripe takes these as if they had cents: https://docs.stripe.com/currencies#special-cases"""
NO_DIGITS = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
"""Stripe's currencies without cents: https://docs.stripe.com/currencies#zero-decimal"""
STATED = 10
"""Stripe takes the last of three digits as zero alone: https://docs.stripe.com/currencies#three-decimal"""


class NotPayable(Exception):
    """Stripe does not accept the amount, whatever the card."""


def units(money: Money) -> int:
    """Give an amount in Stripe's smallest units.

    Raises:
        NotPayable: the amount is 0, or has more digits than Stripe takes.
    """
    if money.currency in NO_DIGITS:
        whole = money.amount
    elif money.currency in AS_TWO_DIGITS:
        whole = money.amount.scaleb(2)
    else:
        whole = money.amount.scaleb(CURRENCIES[money.currency])
        if CURRENCIES[money.currency] == 3 and int(whole) % STATED:  # noqa: PLR2004  # digits
            raise NotPayable(f"{money} {money.currency} has more digits than the provider takes")
    if whole != whole.to_integral_value() or whole < 1:
        raise NotPayable(f"{money} {money.currency} is nothing, or has more digits than the provider takes")
    return int(whole)


def money(units: int, currency: str) -> Money:
    """Give the amount of so many of Stripe's smallest units."""
    if currency in NO_DIGITS:
        return Money(Decimal(units), currency)
    if currency in AS_TWO_DIGITS:
        return Money(Decimal(units).scaleb(-2), currency)
    return Money.from_minor(units, currency)
