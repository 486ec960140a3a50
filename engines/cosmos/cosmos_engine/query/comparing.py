"""How values compare: never across types, except in the order of ORDER BY."""

import operator

from cosmos_engine.values import UNDEFINED, Json, Undefined, dump

type SortKey = tuple[int, Json]

NULL, BOOLEAN, NUMBER, STRING, ARRAY, OBJECT = 1, 2, 3, 4, 5, 6
ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
RANKS = {
    Undefined: 0,
    type(None): NULL,
    bool: BOOLEAN,
    int: NUMBER,
    float: NUMBER,
    str: STRING,
    list: ARRAY,
    dict: OBJECT,
}


def type_rank(value: Json) -> int:
    """The place of a value's type in the order undefined, null, boolean, number, string, array, object.

    https://learn.microsoft.com/azure/cosmos-db/nosql/query/order-by
    """
    return RANKS[type(value)]


def equal(left: Json, right: Json) -> bool:
    """Whether two values are the same JSON; to Python true is 1, here it is not."""
    rank = type_rank(left)
    if rank != type_rank(right):
        return False
    if rank == ARRAY:
        return len(left) == len(right) and all(map(equal, left, right))
    if rank == OBJECT:
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return bool(left == right)


def sort_key(value: Json) -> SortKey:
    """What ORDER BY, MIN and MAX order by. Arrays come before objects; among themselves they have no order."""
    rank = type_rank(value)
    return (rank, value if rank in (BOOLEAN, NUMBER, STRING) else 0)


def compare(sign: str, left: Json, right: Json) -> Json:
    """The result of a comparison: UNDEFINED when either side is, and for an order between types that have none."""
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    if sign == "=":
        return equal(left, right)
    if sign == "!=":
        return not equal(left, right)
    rank = type_rank(left)
    if rank != type_rank(right) or rank >= ARRAY:
        return UNDEFINED
    return ORDERS[sign](sort_key(left), sort_key(right))


def identity(value: Json) -> str:
    """A text that equal values share, for DISTINCT."""
    return dump(_ordered(value))


def _ordered(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(element) for element in value] if isinstance(value, list) else value
