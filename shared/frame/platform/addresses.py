"""Postal addresses, as callers write them."""

from typing import Annotated, Any

from pydantic import BeforeValidator, StringConstraints, WithJsonSchema

from shared.frame.platform.input import Input, Text
from shared.kernel.countries import COUNTRIES
from shared.kernel.personal import PERSONAL

_ALSO = {
    "UK": "GB",
    "GREAT BRITAIN": "GB",
    "TURKEY": "TR",
    "RUSSIA": "RU",
    "IVORY COAST": "CI",
    "ENGLAND": "GB",
    "SCOTLAND": "GB",
    "WALES": "GB",
    "NORTHERN IRELAND": "GB",
    "HOLLAND": "NL",
}
"""Names that people write, and that ISO's lists do not have."""

_LONGEST_NAME = 60


def _country(value: Any) -> Any:
    if not isinstance(value, str) or value in COUNTRIES:
        return value  # pydantic refuses a value that is no text
    code = _code_of(value) if len(value) <= _LONGEST_NAME else None
    if code is not None:
        raise ValueError(f"should be the country's ISO 3166-1 alpha-2 code: {code}")
    raise ValueError("should be a country's ISO 3166-1 alpha-2 code, such as DE")


def _code_of(name: str) -> str | None:
    import pycountry  # noqa: PLC0415  # reads its lists, for those alone who write a name

    written = " ".join(name.upper().removeprefix("THE ").split())
    try:
        return _ALSO.get(written) or pycountry.countries.lookup(written).alpha_2
    except LookupError:
        return None


Country = Annotated[
    str,
    BeforeValidator(_country),
    WithJsonSchema(
        {"type": "string", "enum": sorted(COUNTRIES), "description": "ISO 3166-1 alpha-2", "examples": ["DE"]}
    ),
]
"""A country's code; the error for its English name suggests the code."""


class PostalAddress(Input):
    """Where mail goes. Postal codes are text: no rule fits them all."""

    street: Annotated[Text, StringConstraints(min_length=1, max_length=200), PERSONAL]
    city: Annotated[Text, StringConstraints(min_length=1, max_length=100), PERSONAL]
    postal_code: Annotated[Text, StringConstraints(min_length=1, max_length=20), PERSONAL]
    region: Annotated[Text, StringConstraints(min_length=1, max_length=100), PERSONAL] | None = None
    country: Annotated[Country, PERSONAL] | None = None
