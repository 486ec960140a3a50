"""JSON as it is written: a number keeps all its digits, and no name stands twice in an object."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import pydantic_core

SHOWN = 100
"""Characters of what a caller sent that an answer repeats at most."""

MAX_NAMES = 5_000
"""Names in one JSON text: five for each thing on a list of 1,000. To say what is wrong with 110,000 names took an
interpreter a second, in which it answers nobody."""


def parsed(text: bytes) -> Any:
    """Read JSON. A number with a point or an exponent becomes a Decimal: a float would round it.

    Raises:
        ValueError: it is no JSON in UTF-8, a name stands twice in an object, it is nested more than 200 deep, or
            it has more than MAX_NAMES names.
    """
    pydantic_core.from_json(text)  # stricter than the standard library: encoding, half characters, nesting
    return json.loads(text, parse_float=_decimal, parse_constant=_decimal, object_pairs_hook=_bounded_objects())


def shortened(text: str) -> str:
    """Cut what a caller sent, before it is repeated."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _decimal(number: str) -> Decimal:
    try:
        return Decimal(number)
    except InvalidOperation:  # an exponent of more than 18 digits; no rule of ours lets it pass, as NaN
        return Decimal("NaN")


def _bounded_objects() -> Callable[[Sequence[tuple[str, Any]]], dict[str, Any]]:
    """Make the objects of one text, up to its number of names."""
    names = 0

    def make(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal names
        names += len(pairs)
        if names > MAX_NAMES:
            raise ValueError(f"it has more than {MAX_NAMES:,} names")
        return _object(pairs)

    return make


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {json.dumps(shortened(twice), ensure_ascii=False)} stands twice in one object")
    return found
