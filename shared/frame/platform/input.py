"""The base of all inputs: strict types, camelCase names, unknown fields refused, UUIDs as written.

A body's values come as `json_text.parsed` gives them: numbers are int or Decimal, never float. The types here convert
them to types that JSON lacks.
"""

import decimal
import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from shared.kernel.money import CURRENCIES

_UUID = re.compile(r"(?!0{8}(-0{4}){3}-0{12})[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_AFTER = re.compile(f"{_UUID.pattern}:[1-9][0-9]{{0,14}}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_DECIMALS = 4
"""Digits after the point that an amount can have; the domain checks how many its currency allows."""

_AMOUNT = rf"[0-9]{{1,15}}(\.[0-9]{{1,{_DECIMALS}}})?"

_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""Controls, line and paragraph separators, and characters that change the direction of text."""

_SHOWN = "LNPS"
"""Unicode's general categories of visible characters: letters, numbers, punctuation, symbols. They have none of the
White_Space, and only four of the Default_Ignorable_Code_Points."""

_BLANKS = frozenset(
    map(
        unicodedata.lookup,
        (
            *("HANGUL FILLER", "HANGUL CHOSEONG FILLER", "HANGUL JUNGSEONG FILLER", "HALFWIDTH HANGUL FILLER"),
            *("BRAILLE PATTERN BLANK", "MUSICAL SYMBOL NULL NOTEHEAD"),
            *("EGYPTIAN HIEROGLYPH FULL BLANK", "EGYPTIAN HIEROGLYPH HALF BLANK"),
        ),
    )
)
"""Letters and symbols that show nothing all the same: the four that Unicode ignores, and blanks by their names."""

_CONTROL = re.compile(f"[{_CONTROLS}]")
_PRINTABLE = {
    "pattern": rf"^([^{_CONTROLS}]*(?![{''.join(sorted(_BLANKS))}])[\p{{L}}\p{{N}}\p{{P}}\p{{S}}][^{_CONTROLS}]*)?$"
}


class Input(BaseModel):
    """A command as callers send it. Fields that the route names come from the path, all others from the body.

    Here and in other models, pydantic builds the validator at its first use, which makes the import of the app faster.
    """

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        defer_build=True,
        hide_input_in_errors=True,
    )


class QueryInput(BaseModel):
    """A query's parameters, from the path and the query string."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        defer_build=True,
        hide_input_in_errors=True,
    )

    def owner_ids(self) -> frozenset[UUID]:
        """Give the owners whose things the query asks for."""
        return frozenset(getattr(self, name) for name in owner_fields(type(self))) - {None}


@cache
def owner_fields(query: type[QueryInput]) -> frozenset[str]:
    """Name the fields that hold the owner's id."""
    return frozenset(name for name, field in query.model_fields.items() if _OWNER in field.metadata)


def _canonical(value: Any) -> Any:
    if isinstance(value, UUID):
        return value  # of the app's own
    if not isinstance(value, str):
        raise ValueError("should be a string that holds a UUID")  # noqa: TRY004  # pydantic's validators say so
    if not _UUID.fullmatch(value):
        raise ValueError("should be a UUID, written as 8-4-4-4-12 hexadecimal digits, not all of them 0")
    return UUID(value)


def _new(value: UUID) -> UUID:
    if value.version == _DERIVED:
        raise ValueError("should be a UUID of another version than 5, such as 4 or 7: version 5 is for derived ids")
    return value


def _printable(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("should have no control characters")
    if value and not any(unicodedata.category(character)[0] in _SHOWN for character in set(value) - _BLANKS):
        raise ValueError("should not be blank")
    return value


def _digits(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch("[0-9]{1,18}", value):
        raise ValueError("should be a whole number")
    return value


_EXACT = decimal.Context(prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
"""Rounds nothing; the usual context keeps 28 digits."""

_LARGEST_EXPONENT = 18
"""The largest power of ten that is written out as a whole number: a few characters such as 1e999999999 fill memory."""


def _decimal(value: Any) -> Any:
    match value:
        case str():
            if not re.fullmatch(_AMOUNT, value):
                raise ValueError("should be a decimal number with up to 15 digits before the point and 4 after it")
            return Decimal(value)
        case int() if not isinstance(value, bool):
            return Decimal(value)
        case Decimal():
            exponent = value.as_tuple().exponent
            # as written, unless zeros at the end make it too long: 1.00000 is 1
            return value.normalize(_EXACT) if isinstance(exponent, int) and not -_DECIMALS <= exponent <= 0 else value
        case _:
            raise ValueError("should be a decimal number, or a string that holds one")


def _plain(value: Decimal) -> Decimal:
    return abs(Decimal(f"{value:f}"))  # there is a negative zero, and 2E+2 is 200


def _whole(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() <= _LARGEST_EXPONENT:
        return int(value) if value == value.to_integral_value() else value
    return value


def _address(value: str) -> str:
    # deferred as pydantic's own, which makes the import of the app faster
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise ValueError("should be an e-mail address alone, such as ada@example.com") from error


Id = Annotated[UUID, BeforeValidator(_canonical), Field(json_schema_extra={"not": {"pattern": "^[0-]*$"}})]
"""A UUID in its usual form; case does not matter. No thing has the nil UUID: what pages by id begins after it."""

_DERIVED = 5
"""The version of the ids that the app derives from others, such as that of a fulfilment from its order's."""

NewId = Annotated[
    Id,
    AfterValidator(_new),
    Field(json_schema_extra={"not": {"pattern": f"^([0-]*$|.{{14}}{_DERIVED}.{{4}}[89abAB])"}}),
]
"""An id that a caller chooses for something new; a derived id would take the place of what will have it."""

_OWNER = object()
OwnerId = Annotated[Id, _OWNER]
"""The owner whose things a query asks for. A caller who acts for themselves may only name their own id."""

MaybeOwnerId = Annotated[Id | None, _OWNER]
"""The same, for a query that may leave it out."""

Whole = BeforeValidator(_whole)
"""Lets an integer be written as 2.0, which is one to JSON Schema. Stands last, or constraints are not described."""

Text = Annotated[str, AfterValidator(_printable), Field(json_schema_extra=_PRINTABLE)]
"""Text on one line: not blank, no control characters."""

Name = Annotated[Text, StringConstraints(min_length=1, max_length=200)]

Amount = Annotated[
    Decimal,
    Field(ge=0, max_digits=19, decimal_places=_DECIMALS, allow_inf_nan=False),
    BeforeValidator(_decimal),
    AfterValidator(_plain),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^{_AMOUNT}$"},
                {"type": "number", "minimum": 0, "maximum": 999_999_999_999_999, "multipleOf": 0.0001},
            ],
            "description": "An amount in major units, with no more digits than its currency; a string keeps them all.",
            "examples": ["19.90"],
        }
    ),
]
"""An amount of money, in major units."""

Email = Annotated[
    str,
    StringConstraints(max_length=320),
    AfterValidator(_address),
    Field(json_schema_extra={"format": "email"}),
]
"""An e-mail address and nothing beside it, no name and no blanks; its domain in lower case."""


def _currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("should be a currency code of ISO 4217, in capitals")
    return code


Currency = Annotated[str, AfterValidator(_currency), WithJsonSchema({"type": "string", "enum": list(CURRENCIES)})]


class After(NamedTuple):
    """A thing on a list, and the version that it must have reached, as a command answered it."""

    id: UUID
    version: int


def read_after(id_name: str) -> BeforeValidator:
    """Read `<id>:<version>`, for which a list waits; the error for another text gives the id this name."""

    def read(value: Any) -> Any:
        if isinstance(value, str):
            if not _AFTER.fullmatch(value):
                raise ValueError(f"should be <{id_name}>:<version>, a UUID and 1 to 15 digits that begin with no 0")
            id_, _, version = value.partition(":")
            return After(UUID(id_), int(version))
        return value

    return BeforeValidator(read)


AFTER_PATTERN = f"^{_AFTER.pattern}$"
AFTER_SCHEMA = WithJsonSchema({"type": "string", "pattern": AFTER_PATTERN})
"""Describes the text that `read_after` reads, by the same pattern; a flag of it would not be in the description."""

Digits = BeforeValidator(_digits)
"""A whole number in a query string, in digits alone. Stands last, or constraints are not described."""

Version = Annotated[int, Field(ge=1, lt=2**53), Digits]


def _moment(value: Any) -> Any:
    if not isinstance(value, datetime) and not (isinstance(value, str) and _MOMENT.fullmatch(value)):
        raise ValueError("should be a date and time with its offset from UTC, such as 2026-11-22T05:20:27Z")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("should be in the years 1 to 9999 of UTC") from None


Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_moment), AfterValidator(_in_utc)]
"""A date and time as RFC 3339 writes it, read as UTC; a plus sign in a query string is %2B."""
