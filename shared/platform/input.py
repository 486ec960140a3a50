"""What all commands' inputs have in common: strict types, camelCase names, unknown fields refused, UUIDs as written."""

import re
from decimal import Decimal
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

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_AMOUNT = r"[0-9]{1,15}(\.[0-9]{1,4})?"

# Controls, line and paragraph separators, and what turns the direction of text; then what is blank or has no width.
# Written for Python and for JSON Schema alike.
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_BLANKS = r"\s\xad\u200b-\u200f\u2060-\u2064\ufeff"
_CONTROL = re.compile(f"[{_CONTROLS}]")
_VISIBLE = re.compile(f"[^{_CONTROLS}{_BLANKS}]")
_PRINTABLE = {"pattern": f"^([^{_CONTROLS}]*[^{_CONTROLS}{_BLANKS}][^{_CONTROLS}]*)?$"}


class Input(BaseModel):
    """A command as callers send it. Fields that the route names come from the path, all others from the body.

    Here and in other models, what validates is built when it is first needed: importing the app is quicker for it.
    """

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        defer_build=True,
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
    )


def _canonical(value: Any) -> Any:
    if isinstance(value, str) and not _UUID.fullmatch(value):
        raise ValueError("should be a UUID, written as 8-4-4-4-12 hexadecimal digits")
    return value


def _printable(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("should have no control characters")
    if value and not _VISIBLE.search(value):
        raise ValueError("should not be blank")
    return value


def _digits(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch("[0-9]{1,18}", value):
        raise ValueError("should be a whole number")
    return value


def _decimal(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(_AMOUNT, value):
        raise ValueError("should be a decimal number with up to 15 digits before the point and 4 after it")
    # a float's shortest text is the number that the caller wrote
    return Decimal(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Id = Annotated[UUID, BeforeValidator(_canonical)]
"""A UUID in its usual form; case does not matter."""

Whole = BeforeValidator(_whole)
"""Lets an integer be written as 2.0, which is one to JSON Schema. Stands last, or constraints are not described."""

Text = Annotated[str, AfterValidator(_printable), Field(json_schema_extra=_PRINTABLE)]
"""Text on one line: not blank, no control characters."""

Name = Annotated[Text, StringConstraints(min_length=1, max_length=200)]

Price = Annotated[
    Decimal,
    Field(ge=0, max_digits=19, decimal_places=4, allow_inf_nan=False),
    BeforeValidator(_decimal),
    AfterValidator(abs),  # there is a negative zero
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
"""A price of one piece, in major units."""


class After(NamedTuple):
    """A version that an order must have reached, as a command gave it."""

    order_id: UUID
    version: int


def _after(value: Any) -> Any:
    if isinstance(value, str):
        order_id, colon, version = value.partition(":")
        if not (colon and _UUID.fullmatch(order_id) and re.fullmatch("[0-9]{1,18}", version)):
            raise ValueError("should be <orderId>:<version>")
        return After(UUID(order_id), int(version))
    return value


AfterOrder = Annotated[
    After, BeforeValidator(_after), WithJsonSchema({"type": "string", "pattern": f"^{_UUID.pattern}:[0-9]{{1,18}}$"})
]
"""What a list or a summary waits for: `<orderId>:<version>`."""

Digits = BeforeValidator(_digits)
"""A whole number in a query string, in digits alone. Stands last, or constraints are not described."""

Version = Annotated[int, Field(ge=1, lt=2**53), Digits]


def _moment(value: Any) -> Any:
    if isinstance(value, str) and not _MOMENT.fullmatch(value):
        raise ValueError("should be a date and time with its offset from UTC, such as 2026-11-22T05:20:27Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
"""A date and time as RFC 3339 writes it; a plus sign in a query string is %2B."""
