"""Amounts of money: exact decimals in a currency with a fixed number of digits."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

_CODES = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP "
    "CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD "
    "MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB "
    "RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD "
    "UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"
)
_DIGITS = dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0) | dict.fromkeys(
    "BHD IQD JOD KWD LYD OMR TND".split(), 3
)

CURRENCIES: dict[str, int] = {code: _DIGITS.get(code, 2) for code in _CODES.split()}
"""Digits after the point (the minor unit) by currency code, from ISO 4217; a test compares it with CLDR's list."""

MAX_MINOR_UNITS = 10**12
"""The largest price or order total, in minor units. Read models keep integers as IEEE 754 doubles, exact up to 2**53:
9,000 orders of the largest total still add up exactly."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in major units (euros, not cents) of an ISO 4217 currency."""

    amount: Decimal
    currency: str

    @classmethod
    def from_minor(cls, units: int, currency: str) -> Self:
        """Turn an integer of minor units (cents) into money."""
        return cls(Decimal(units).scaleb(-CURRENCIES[currency]), currency)

    @property
    def minor(self) -> int:
        """The amount as an integer of minor units."""
        return int(self.amount.scaleb(CURRENCIES[self.currency]))

    def __str__(self) -> str:
        """Write the amount alone, with exactly the currency's digits: `12.50`, `1200`, `0.125`."""
        return f"{self.amount:.{CURRENCIES[self.currency]}f}"


def in_major_units(minor: int, currency: str) -> str:
    """Write an integer of minor units as Money writes its amount, in a third of the time: answers have many of them."""
    digits = CURRENCIES[currency]
    if not digits:
        return str(minor)
    major, rest = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{major}.{rest:0{digits}}"


def fits(amount: Decimal, currency: str) -> bool:
    """Whether an amount has no more digits after the point than its currency."""
    scaled = amount.scaleb(CURRENCIES[currency])
    return scaled == scaled.to_integral_value()
