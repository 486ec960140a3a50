"""The syntax tree of a query."""

from collections.abc import Collection
from dataclasses import dataclass, fields, is_dataclass

from cosmos_engine.values import Json

type Expression = (
    Literal
    | Parameter
    | Alias
    | Member
    | Unary
    | Binary
    | Between
    | In
    | Like
    | Choice
    | Call
    | ArrayOf
    | ObjectOf
    | Subquery
)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; UNDEFINED is one."""

    value: Json


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter, with its @."""

    name: str


@dataclass(frozen=True, slots=True)
class Alias:
    """What FROM or JOIN ranges over."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """A property of an object or an element of an array."""

    of: Expression
    key: str | int


@dataclass(frozen=True, slots=True)
class Unary:
    """NOT, - or +."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """AND, OR, a comparison, arithmetic, || or ??."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Between:
    """Whether a value lies between two others, which count."""

    operand: Expression
    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class In:
    """Whether a value equals one of others."""

    operand: Expression
    options: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """Whether a string has a pattern."""

    operand: Expression
    pattern: Expression
    escape: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """condition ? then : otherwise."""

    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """A function, in capitals."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """[a, b]."""

    elements: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """{"a": b}."""

    properties: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Select:
    """What is projected: of SELECT *, no columns; of SELECT VALUE, one without a name."""

    columns: tuple[tuple[str, Expression], ...] = ()
    value: Expression | None = None
    distinct: bool = False
    top: Expression | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What FROM ranges over: the value at a path, or the elements of the array there."""

    alias: str
    path: Expression
    elements: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A statement; order is of paths, each with whether it descends. A join is of the elements at its path."""

    select: Select
    source: Source | None = None
    joins: tuple[tuple[str, Expression], ...] = ()
    where: Expression | None = None
    group: tuple[Expression, ...] = ()
    order: tuple[tuple[Expression, bool], ...] = ()
    offset: Expression | None = None
    limit: Expression | None = None


@dataclass(frozen=True, slots=True)
class Subquery:
    """A query in parentheses: EXISTS (whether it has results), ARRAY (all of them) or VALUE (its only one)."""

    kind: str
    query: Query


def has_call(node: object, names: Collection[str]) -> bool:
    """Whether one of these functions is called anywhere in an expression."""
    if isinstance(node, tuple):
        return any(has_call(part, names) for part in node)
    if not is_dataclass(node) or isinstance(node, Subquery):
        return False
    if isinstance(node, Call) and node.name in names:
        return True
    return any(has_call(getattr(node, field.name), names) for field in fields(node))
