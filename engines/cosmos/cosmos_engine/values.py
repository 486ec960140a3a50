"""JSON as Cosmos DB holds it: every number is an IEEE 754 double, and a value may be undefined."""

import json
import math
from typing import Any, Final

from cosmos_engine.errors import BadRequestError

type Json = Any
"""None, bool, int, float, str, list or dict, or UNDEFINED where a path leads nowhere."""


class Undefined:
    """The value of a property that is not there; unlike null it is left out of every result."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Final = Undefined()

EXACT_DIGITS = 15
"""Integers of so many digits are below 2**53 and hence exact as doubles."""


def double(number: float) -> int | float:
    """The number as the service gives it back: rounded to a double, and without a fraction if it has none.

    Raises:
        BadRequestError: it is too large for a double.
    """
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadRequestError("A number in the request is outside the range of an IEEE 754 double.")
    return int(number) if number.is_integer() else number


def parse(text: str | bytes) -> Json:
    """Read JSON that came over the wire.

    Raises:
        BadRequestError: it is not JSON, or holds a number that is not a double.
    """
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=_constant)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is not text
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The request body is not valid JSON: {error}") from error
    return value


def dump(value: Json) -> str:
    """Write JSON, compactly and as text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def get(document: Json, path: tuple[str, ...]) -> Json:
    """The value at a path of property names, or UNDEFINED."""
    for name in path:
        if not isinstance(document, dict) or name not in document:
            return UNDEFINED
        document = document[name]
    return document


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= EXACT_DIGITS else double(float(digits))


def _real(digits: str) -> int | float:
    return double(float(digits))


def _constant(name: str) -> Json:
    raise ValueError(f"{name} is not a number in JSON")
