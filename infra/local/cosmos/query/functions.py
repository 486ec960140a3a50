"""The functions that a query may call. One that gets a value of the wrong type gives undefined.

https://learn.microsoft.com/azure/cosmos-db/nosql/query/system-functions
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from infra.local.cosmos.query.comparing import ARRAY, BOOLEAN, NUMBER, OBJECT, STRING, equal, sort_key, type_rank
from infra.local.cosmos.values import UNDEFINED, Json, double


class Function(NamedTuple):
    """How many arguments it takes, at least and at most, and what it does with their values."""

    arguments: tuple[int, int]
    apply: Callable[..., Json]


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


FUNCTIONS = {
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
