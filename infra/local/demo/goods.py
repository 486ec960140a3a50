"""Customers, addresses and goods, made up from a seed; names and addresses in a dozen languages."""

from decimal import Decimal
from random import Random
from typing import Any

from faker import Faker

from infra.local.demo.book import DIGITS

LOCALES = (
    *("de_DE", "en_GB", "fr_FR", "ja_JP", "zh_CN", "ko_KR"),
    *("el_GR", "uk_UA", "ar_EG", "he_IL", "hi_IN", "tr_TR", "pl_PL", "pt_BR", "vi_VN"),
)
THINGS = (
    ("Teapot", "kitchen"),
    ("Teekanne", "kitchen"),
    ("théière", "kitchen"),
    ("急須", "kitchen"),
    ("чайник", "kitchen"),
    ("إبريق شاي", "kitchen"),
    ("🫖", "kitchen"),
    ("Schreibtischlampe", "home"),
    ("Æblekurv", "home"),
    ("कालीन", "home"),
    ("Łóżko", "home"),
    ("notebook", "office"),
    ("çanta", "office"),
    ("만년필", "office"),
    ("scissors, 8″ <left-handed>", "office"),
)
REASONS = (
    "changed my mind",
    "zu spät geliefert",
    "ordered twice — sorry",
    "価格が高すぎる",
    "'; DROP TABLE orders; --",
)


class Goods:
    """Makes things up; the same seed makes up the same things."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._faker = [Faker(locale) for locale in LOCALES]
        for number, faker in enumerate(self._faker):
            faker.seed_instance(f"{seed}/{number}")

    def customer_name(self) -> str:
        """A person's name."""
        return _one_line(self._some().name())

    def product_name(self) -> tuple[str, str]:
        """A product's name and its category."""
        thing, category = self._random.choice(THINGS)
        return f"{thing} “{_one_line(self._some().first_name())}”", category

    def description(self) -> str:
        """A sentence."""
        return _one_line(self._some().sentence())

    def address(self) -> dict[str, str | None]:
        """A shipping address, with region and country or without."""
        faker = self._some()
        country = str(faker.locales[0]).rpartition("_")[2]
        return {
            "street": _one_line(faker.street_address()),
            "city": _one_line(faker.city()),
            "postalCode": _one_line(faker.postcode()),
            "region": self._random.choice([None, _one_line(faker.city())]),
            "country": self._random.choice([None, country]),
        }

    def price(self, currency: str) -> Decimal:
        """A price with all digits of its currency, awkward rather than round."""
        units = self._random.choice([self._random.randint(1, 999), self._random.randint(1_000, 9_999_999)])
        return Decimal(units).scaleb(-DIGITS[currency])

    def reason(self) -> str:
        """Why an order is called off."""
        return self._random.choice(REASONS)

    def _some(self) -> Any:  # a Faker's methods come from its providers, at run time
        return self._random.choice(self._faker)


def _one_line(text: str) -> str:
    return " ".join(str(text).split())
