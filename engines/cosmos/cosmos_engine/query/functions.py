"""The functions that a query may call. One that gets a value of the wrong type gives undefined.

https://learn.microsoft.com/azure/cosmos-db/nosql/query/system-functions
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from cosmos_engine.errors import BadRequestError
from cosmos_engine.query.comparing import (
    ARRAY,
    BOOLEAN,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    equal,
    sort_key,
    type_rank,
)
from cosmos_engine.values import UNDEFINED, Json, double, dump

LONGEST_TEXT = 4 * 1024 * 1024
"""Characters: an answer has no more bytes."""
MOST_ELEMENTS = 2**31
"""Above the length of every array."""


class Function(NamedTuple):
    """A function: its least and largest number of arguments, and its computation on their values."""

    arguments: tuple[int, int]
    apply: Callable[..., Json]


def bounded(text: str) -> str:
    """A text that a query makes, which is no longer than an answer may be.

    Raises:
        BadRequestError: it is longer.
    """
    if len(text) > LONGEST_TEXT:
        raise BadRequestError(f"A text of more than {LONGEST_TEXT} characters is not supported by this engine.")
    return text


def count(values: Iterable[Json]) -> Json:
    """How many values are defined."""
    return sum(1 for value in values if value is not UNDEFINED)


def total(values: Iterable[Json]) -> Json:
    """The sum of the defined values, undefined if one of them is no number."""
    numbers = _numbers(values)
    return UNDEFINED if numbers is None else double(sum(numbers))


def average(values: Iterable[Json]) -> Json:
    """The mean of the defined values, undefined without any or if one of them is no number."""
    numbers = _numbers(values)
    return double(sum(numbers) / len(numbers)) if numbers else UNDEFINED


def least(values: Iterable[Json]) -> Json:
    """The first value in the order of ORDER BY, undefined without any or if one is an array or an object."""
    return _extreme(values, min)


def greatest(values: Iterable[Json]) -> Json:
    """The last value in the order of ORDER BY, undefined without any or if one is an array or an object."""
    return _extreme(values, max)


AGGREGATES: dict[str, Callable[[Iterable[Json]], Json]] = {
    "COUNT": count,
    "SUM": total,
    "AVG": average,
    "MIN": least,
    "MAX": greatest,
}


def _numbers(values: Iterable[Json]) -> list[float] | None:
    defined = [float(value) if type_rank(value) == NUMBER else None for value in values if value is not UNDEFINED]
    numbers = [number for number in defined if number is not None]
    return numbers if len(numbers) == len(defined) else None


def _extreme(values: Iterable[Json], choose: Callable[..., Json]) -> Json:
    defined = [value for value in values if value is not UNDEFINED]
    if any(type_rank(value) > STRING for value in defined):
        return UNDEFINED
    return choose(defined, key=sort_key, default=UNDEFINED)


def _array_contains(array: Json, sought: Json, partial: Json = False) -> Json:  # noqa: FBT002 -- an argument of the function
    if not isinstance(array, list) or sought is UNDEFINED:
        return UNDEFINED
    matches = _is_part_of if partial is True else equal
    return any(matches(sought, element) for element in array)


def _is_part_of(part: Json, whole: Json) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _is_part_of(value, whole[key]) for key, value in part.items())
    return equal(part, whole)


def _on_strings(test: Callable[[str, str], bool]) -> Function:
    def apply(left: Json, right: Json, ignore_case: Json = False) -> Json:  # noqa: FBT002 -- an argument of the function
        if not isinstance(left, str) or not isinstance(right, str) or not isinstance(ignore_case, bool):
            return UNDEFINED
        return test(left.lower(), right.lower()) if ignore_case else test(left, right)

    return Function((2, 3), apply)


def _is_type(*ranks: int) -> Function:
    return Function((1, 1), lambda value: type_rank(value) in ranks)


def _on_string(change: Callable[[str], Json]) -> Function:
    return Function((1, 1), lambda value: change(value) if isinstance(value, str) else UNDEFINED)


def _on_number(calculate: Callable[[float], float]) -> Function:
    def apply(value: Json) -> Json:
        if type_rank(value) != NUMBER:
            return UNDEFINED
        try:
            return double(calculate(float(value)))
        except (ValueError, OverflowError, BadRequestError):
            return UNDEFINED  # infinity is no JSON

    return Function((1, 1), apply)


def _power(base: Json, exponent: Json) -> Json:
    if type_rank(base) != NUMBER or type_rank(exponent) != NUMBER:
        return UNDEFINED
    try:
        return double(math.pow(base, exponent))
    except (ValueError, OverflowError, BadRequestError):
        return UNDEFINED


def _concat(*texts: Json) -> Json:
    return bounded("".join(texts)) if all(isinstance(text, str) for text in texts) else UNDEFINED


def _array_concat(*arrays: Json) -> Json:
    if not all(isinstance(array, list) for array in arrays):
        return UNDEFINED
    if sum(map(len, arrays)) > LONGEST_TEXT:
        raise BadRequestError(f"An array of more than {LONGEST_TEXT} elements is not supported by this engine.")
    return [element for array in arrays for element in array]


def _sliced(slice_of: Callable[[str, int], str]) -> Function:
    def apply(text: Json, length: Json) -> Json:
        return slice_of(text, max(length, 0)) if isinstance(text, str) and type_rank(length) == NUMBER else UNDEFINED

    return Function((2, 2), lambda text, length: apply(text, _whole(length)))


def _substring(text: Json, start: Json, length: Json) -> Json:
    start, length = _whole(start), _whole(length)
    if not isinstance(text, str) or start is UNDEFINED or length is UNDEFINED or start < 0:
        return UNDEFINED
    return text[start : start + max(length, 0)]


def _index_of(text: Json, sought: Json, start: Json = 0) -> Json:
    start = _whole(start)
    if not isinstance(text, str) or not isinstance(sought, str) or start is UNDEFINED:
        return UNDEFINED
    return text.find(sought, max(start, 0))


def _replace(text: Json, sought: Json, by: Json) -> Json:
    if not all(isinstance(value, str) for value in (text, sought, by)):
        return UNDEFINED
    if not sought:
        return text
    if text.count(sought) * len(by) > LONGEST_TEXT:
        raise BadRequestError(f"A text of more than {LONGEST_TEXT} characters is not supported by this engine.")
    return text.replace(sought, by)


def _array_slice(array: Json, start: Json, length: Json = MOST_ELEMENTS) -> Json:
    start, length = _whole(start), _whole(length)
    if not isinstance(array, list) or start is UNDEFINED or length is UNDEFINED:
        return UNDEFINED
    start = max(start + len(array), 0) if start < 0 else start
    return array[start : start + max(length, 0)]


def _to_string(value: Json) -> Json:
    if value is UNDEFINED or isinstance(value, str):
        return value
    return dump(value)


def _whole(number: Json) -> Json:
    if type_rank(number) != NUMBER or not float(number).is_integer():
        return UNDEFINED
    return int(number)


FUNCTIONS = {
    "IIF": Function((3, 3), lambda condition, then, otherwise: then if condition is True else otherwise),
    "ABS": _on_number(abs),
    "CEILING": _on_number(math.ceil),
    "FLOOR": _on_number(math.floor),
    "ROUND": _on_number(lambda value: math.copysign(math.floor(abs(value) + 0.5), value)),
    "TRUNC": _on_number(math.trunc),
    "SIGN": _on_number(lambda value: (value > 0) - (value < 0)),
    "SQRT": _on_number(math.sqrt),
    "SQUARE": _on_number(lambda value: value * value),
    "EXP": _on_number(math.exp),
    "POWER": Function((2, 2), _power),
    "CONCAT": Function((2, 100), _concat),
    "LENGTH": _on_string(len),
    "LEFT": _sliced(lambda text, length: text[:length]),
    "RIGHT": _sliced(lambda text, length: text[len(text) - min(length, len(text)) :]),
    "SUBSTRING": Function((3, 3), _substring),
    "INDEX_OF": Function((2, 3), _index_of),
    "REPLACE": Function((3, 3), _replace),
    "REVERSE": _on_string(lambda text: text[::-1]),
    "TRIM": _on_string(str.strip),
    "LTRIM": _on_string(str.lstrip),
    "RTRIM": _on_string(str.rstrip),
    "TOSTRING": Function((1, 1), _to_string),
    "ARRAY_CONCAT": Function((2, 100), _array_concat),
    "ARRAY_SLICE": Function((2, 3), _array_slice),
    "IS_PRIMITIVE": _is_type(NULL, BOOLEAN, NUMBER, STRING),
    "IS_DEFINED": Function((1, 1), lambda value: value is not UNDEFINED),
    "IS_NULL": Function((1, 1), lambda value: value is None),
    "IS_BOOL": _is_type(BOOLEAN),
    "IS_NUMBER": _is_type(NUMBER),
    "IS_STRING": _is_type(STRING),
    "IS_ARRAY": _is_type(ARRAY),
    "IS_OBJECT": _is_type(OBJECT),
    "ARRAY_CONTAINS": Function((2, 3), _array_contains),
    "ARRAY_LENGTH": Function((1, 1), lambda array: len(array) if isinstance(array, list) else UNDEFINED),
    "STARTSWITH": _on_strings(str.startswith),
    "ENDSWITH": _on_strings(str.endswith),
    "CONTAINS": _on_strings(str.__contains__),
    "LOWER": _on_string(str.lower),
    "UPPER": _on_string(str.upper),
}
