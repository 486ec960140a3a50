"""From the syntax tree of an expression to a Python function of a row.

A row is a tuple with the values of the aliases; true, false and undefined combine as in SQL true, false and unknown do.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from cosmos_engine.errors import BadRequestError
from cosmos_engine.query import syntax
from cosmos_engine.query.comparing import NUMBER, compare, equal, type_rank
from cosmos_engine.query.functions import AGGREGATES, FUNCTIONS, bounded
from cosmos_engine.query.syntax import Expression
from cosmos_engine.values import UNDEFINED, Json, double

type Row = tuple[Json, ...]
MOST_ROWS = 200_000
type Compiled = Callable[[Row], Json]


class Budget:
    """Rows that a query may still make of one item: joins and subqueries within one another have no other end."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin the next item."""
        self._left = MOST_ROWS

    def spend(self, rows: int) -> None:
        """Take some.

        Raises:
            BadRequestError: there are none left.
        """
        self._left -= rows
        if self._left < 0:
            raise BadRequestError(
                f"In a query, more than {MOST_ROWS} rows of one item is not supported by this engine."
            )


class Scope:
    """What names mean: the place of each alias in a row, and the values of the parameters.

    With `aggregates` a list, an aggregate function is added to it as (function, argument) and compiled to the place of
    its result in a row of results, which begins with the values that are `grouped` by; outside of its argument nothing
    else can be referred to.
    """

    def __init__(self, aliases: tuple[str, ...], parameters: Mapping[str, Json]) -> None:
        self.aliases = aliases
        self.places = {name: place for place, name in enumerate(aliases)}
        self.grouped: dict[Expression, int] = {}
        self.budget = Budget()
        self.parameters = parameters
        self.aggregates: list[tuple[str, Compiled]] | None = None


def compiled(expression: Expression, scope: Scope) -> Compiled:  # noqa: C901 -- one case for each kind of node
    """The function that gives the expression's value.

    Raises:
        BadRequestError: a parameter has no value, or an aggregate function stands where none may.
    """
    if scope.aggregates is not None and scope.grouped and expression in scope.grouped:
        return _place(scope.grouped[expression])
    match expression:
        case syntax.Literal(value):
            return lambda _row: value
        case syntax.Parameter(name):
            if name not in scope.parameters:
                raise BadRequestError(f"The query has no value for the parameter '{name}'.")
            parameter = scope.parameters[name]
            return lambda _row: parameter
        case syntax.Alias(name):
            return _alias(name, scope)
        case syntax.Member(of, key):
            return _member(compiled(of, scope), key)
        case syntax.Unary(operator, operand):
            return _unary(operator, compiled(operand, scope))
        case syntax.Binary(operator, left, right):
            return _binary(operator, compiled(left, scope), compiled(right, scope))
        case syntax.Between(operand, low, high):
            return _between(compiled(operand, scope), compiled(low, scope), compiled(high, scope))
        case syntax.In(operand, options):
            return _in(compiled(operand, scope), [compiled(option, scope) for option in options])
        case syntax.Like(operand, pattern, escape):
            return _like(compiled(operand, scope), compiled(pattern, scope), escape)
        case syntax.Choice(condition, then, otherwise):
            return _choice(compiled(condition, scope), compiled(then, scope), compiled(otherwise, scope))
        case syntax.Subquery(kind, query):
            return _subquery(kind, query, scope)
        case syntax.Call(name, arguments):
            return _call(name, arguments, scope)
        case syntax.ArrayOf(elements):
            return _array([compiled(element, scope) for element in elements])
        case syntax.ObjectOf(properties):
            return projection(properties, scope)


def projection(properties: tuple[tuple[str, Expression], ...], scope: Scope) -> Compiled:
    """The function that gives an object, without the properties that are undefined."""
    parts = [(name, compiled(expression, scope)) for name, expression in properties]

    def project(row: Row) -> Json:
        values = ((name, part(row)) for name, part in parts)
        return {name: value for name, value in values if value is not UNDEFINED}

    return project


def _alias(name: str, scope: Scope) -> Compiled:
    if name not in scope.places:
        raise BadRequestError(f"Identifier '{name}' could not be resolved.")
    if scope.aggregates is not None:
        raise BadRequestError(
            f"Property reference '{name}' is invalid in the select list because it is not contained in either an "
            "aggregate function or the GROUP BY clause."
        )
    return _place(scope.places[name])


def _place(place: int) -> Compiled:
    return lambda row: row[place]


def _member(of: Compiled, key: str | int) -> Compiled:
    def property_of(row: Row) -> Json:
        value = of(row)
        return value.get(key, UNDEFINED) if isinstance(value, dict) else UNDEFINED

    def element_of(row: Row) -> Json:
        value = of(row)
        return value[key] if isinstance(value, list) and isinstance(key, int) and key < len(value) else UNDEFINED

    return property_of if isinstance(key, str) else element_of


def _unary(operator: str, operand: Compiled) -> Compiled:
    def negation(row: Row) -> Json:
        value = operand(row)
        return not value if isinstance(value, bool) else UNDEFINED

    def sign(row: Row) -> Json:
        value = operand(row)
        if not _is_number(value):
            return UNDEFINED
        return -value if operator == "-" else value

    return negation if operator == "NOT" else sign


def _binary(operator: str, left: Compiled, right: Compiled) -> Compiled:
    if operator == "AND":
        return lambda row: _both(left(row), right, row)
    if operator == "OR":
        return lambda row: _either(left(row), right, row)
    if operator in ARITHMETIC:
        calculate = ARITHMETIC[operator]
        return lambda row: _calculated(calculate, left(row), right(row))
    if operator == "??":
        return lambda row: right(row) if (value := left(row)) is UNDEFINED else value
    if operator == "||":
        return lambda row: _joined(left(row), right(row))
    return lambda row: compare(operator, left(row), right(row))


def _both(left: Json, right: Compiled, row: Row) -> Json:
    if left is False:
        return False
    value = right(row)
    if value is False:
        return False
    return True if left is True and value is True else UNDEFINED


def _either(left: Json, right: Compiled, row: Row) -> Json:
    if left is True:
        return True
    value = right(row)
    if value is True:
        return True
    return False if left is False and value is False else UNDEFINED


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "%": lambda left, right: left % right if left * right >= 0 else -(-left % right),
}


def _calculated(calculate: Callable[[float, float], float], left: Json, right: Json) -> Json:
    if not _is_number(left) or not _is_number(right):
        return UNDEFINED
    try:
        return double(calculate(float(left), float(right)))
    except (ZeroDivisionError, BadRequestError):
        return UNDEFINED  # infinity is no JSON


def _joined(left: Json, right: Json) -> Json:
    return bounded(left + right) if isinstance(left, str) and isinstance(right, str) else UNDEFINED


def _between(operand: Compiled, low: Compiled, high: Compiled) -> Compiled:
    def lies(row: Row) -> Json:
        value = operand(row)
        return _both(compare(">=", value, low(row)), lambda row: compare("<=", value, high(row)), row)

    return lies


def _choice(condition: Compiled, then: Compiled, otherwise: Compiled) -> Compiled:
    return lambda row: then(row) if condition(row) is True else otherwise(row)


def _subquery(kind: str, query: syntax.Query, scope: Scope) -> Compiled:
    from cosmos_engine.query.plan import Plan  # noqa: PLC0415 -- a plan is made of expressions, and this of a plan

    if scope.aggregates is not None:
        raise BadRequestError("In a query, a subquery beside aggregate functions is not supported by this engine.")
    plan = Plan(query, scope.parameters, {}, scope)

    def value(row: Row) -> Json:
        results = plan.nested(row)
        if len(results) > 1:
            raise BadRequestError("A scalar subquery has one result; EXISTS and ARRAY take several.")
        return results[0] if results else UNDEFINED

    match kind:
        case "EXISTS":
            return lambda row: bool(plan.nested(row))
        case "ARRAY":
            return plan.nested
        case _:
            return value


def _in(operand: Compiled, options: list[Compiled]) -> Compiled:
    def contained(row: Row) -> Json:
        value = operand(row)
        if value is UNDEFINED:
            return UNDEFINED
        return any(equal(value, option(row)) for option in options)

    return contained


def _like(operand: Compiled, pattern: Compiled, escape: str | None) -> Compiled:
    def matches(row: Row) -> Json:
        value, like = operand(row), pattern(row)
        if not isinstance(value, str) or not isinstance(like, str):
            return UNDEFINED
        return _regular_expression(like, escape).fullmatch(value) is not None

    return matches


@lru_cache(maxsize=256)
def _regular_expression(pattern: str, escape: str | None) -> re.Pattern[str]:
    """The pattern of a LIKE: % is any text, _ any character, [a-c] and [^a-c] a character of a set."""
    segments = [""]
    place = 0
    while place < len(pattern):
        character = pattern[place]
        closing = pattern.find("]", place + 2)
        if escape and character == escape and place + 1 < len(pattern):
            place += 1
            segments[-1] += re.escape(pattern[place])
        elif character == "[" and closing > 0:
            inside = pattern[place + 1 : closing]
            segments[-1] += f"[{inside[:1] if inside[0] in '^-' else re.escape(inside[0])}{_escaped(inside[1:])}]"
            place = closing
        elif character == "%":
            segments.append("")
        else:
            segments[-1] += "." if character == "_" else re.escape(character)
        place += 1
    first, *others = segments
    # a text between two % is matched where it comes first, and never again: no pattern takes long
    middle = "".join(f"(?>.*?{segment})" for segment in others[:-1])
    try:
        return re.compile(first + middle + (f".*{others[-1]}" if others else ""), re.DOTALL)
    except re.error as error:
        raise BadRequestError(f"The LIKE pattern '{pattern}' is invalid: {error}") from error


def _escaped(inside: str) -> str:
    return "".join(character if character == "-" else re.escape(character) for character in inside)


def _call(name: str, arguments: tuple[Expression, ...], scope: Scope) -> Compiled:
    if name in AGGREGATES:
        return _aggregate(name, arguments[0], scope)
    apply = FUNCTIONS[name].apply
    parts = [compiled(argument, scope) for argument in arguments]
    return lambda row: apply(*(part(row) for part in parts))


def _aggregate(name: str, argument: Expression, scope: Scope) -> Compiled:
    if scope.aggregates is None:
        raise BadRequestError(f"The aggregate function {name} is only supported in the select list.")
    aggregates, scope.aggregates = scope.aggregates, None
    place = len(scope.grouped) + len(aggregates)
    aggregates.append((name, compiled(argument, scope)))
    scope.aggregates = aggregates
    return _place(place)


def _array(elements: list[Compiled]) -> Compiled:
    return lambda row: [value for element in elements if (value := element(row)) is not UNDEFINED]


def _is_number(value: Json) -> bool:
    return type_rank(value) == NUMBER
