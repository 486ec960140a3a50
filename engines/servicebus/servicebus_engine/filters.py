"""Which messages a subscription's rules let in.

The language of SQL filters: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter.
Supported are comparisons, AND, OR, NOT, IN, LIKE (with ESCAPE), IS [NOT] NULL and EXISTS over literals, user
properties (`name`, `user.name`, `[my name]`) and the system properties listed below. As in SQL, a comparison with a
missing property is neither true nor false, and a rule matches only when it is true. Comparing values of different
kinds is never true.
"""

import operator
import re
from collections.abc import Callable
from typing import Any, Final

import sqlglot
from sqlglot import exp

from servicebus_engine.message import Content
from servicebus_engine.topology import CorrelationFilter, Rule

type Predicate = Callable[[Content], bool]
type _Term = Callable[[Content], Any]

_SYSTEM_PROPERTIES: Final = {
    "contenttype": "content_type",
    "correlationid": "correlation_id",
    "label": "subject",
    "subject": "subject",
    "messageid": "message_id",
    "replyto": "reply_to",
    "replytosessionid": "reply_to_group_id",
    "sessionid": "group_id",
    "to": "to",
}

_COMPARISONS: Final[dict[type[exp.Expr], Callable[[Any, Any], bool]]] = {
    exp.EQ: operator.eq,
    exp.NEQ: operator.ne,
    exp.LT: operator.lt,
    exp.LTE: operator.le,
    exp.GT: operator.gt,
    exp.GTE: operator.ge,
}

_UNDERSTOOD: Final[dict[type[exp.Expr], set[str]]] = {
    exp.In: {"this", "expressions"},
    exp.Like: {"this", "expression", "negate"},
}
"""The parts of a parsed condition that are evaluated here, where they are others than `this` and `expression`."""


class UnsupportedFilterError(Exception):
    """A SQL expression is faulty or outside the supported subset."""


def any_of(rules: list[Rule]) -> Predicate:
    """Return the predicate of a subscription: true if one rule matches, or if there are no rules.

    Raises:
        UnsupportedFilterError: names the rule and what is not supported.
    """
    predicates = [_predicate(rule) for rule in rules]
    if not predicates:
        return lambda _: True
    return lambda content: any(predicate(content) for predicate in predicates)


def _predicate(rule: Rule) -> Predicate:
    if rule.properties.filter_type == "Correlation" and rule.properties.correlation_filter is not None:
        return correlation(rule.properties.correlation_filter)
    if rule.properties.sql_filter is None:
        raise UnsupportedFilterError(f"rule '{rule.name}' has no filter")
    try:
        return sql(rule.properties.sql_filter.sql_expression)
    except UnsupportedFilterError as error:
        raise UnsupportedFilterError(f"rule '{rule.name}': {error}") from error


def correlation(wanted: CorrelationFilter) -> Predicate:
    """Return a predicate that compares properties for equality, all of which must match."""
    system = {
        _SYSTEM_PROPERTIES[name.replace("_", "")]: value
        for name, value in wanted.model_dump(exclude={"properties"}, exclude_none=True).items()
    }
    user = [(_user_property(name), value) for name, value in wanted.properties.items()]

    def matches(content: Content) -> bool:
        return all(_text(content.properties.get(name)) == value for name, value in system.items()) and all(
            _compare(operator.eq, read(content), value) is True for read, value in user
        )

    return matches


def sql(expression: str) -> Predicate:
    """Return the predicate of a SQL expression.

    Raises:
        UnsupportedFilterError: names what is not supported.
    """
    try:
        tree = sqlglot.parse_one(expression, dialect="tsql")
    except sqlglot.errors.SqlglotError as error:
        raise UnsupportedFilterError(f"'{expression}' is not a valid expression") from error
    condition = _condition(tree)
    return lambda content: condition(content) is True


def _condition(node: exp.Expr) -> _Term:
    """Compile a node to a function that returns True, False or None (unknown)."""
    parts = {name for name, value in node.args.items() if value}
    if not parts <= _UNDERSTOOD.get(type(node), {"this", "expression"}):
        raise UnsupportedFilterError(f"'{node.sql(dialect='tsql')}' is not supported")
    match node:
        case exp.Paren():
            return _condition(node.this)
        case exp.And() | exp.Or():
            return _connective(node)
        case exp.Not():
            inner = _condition(node.this)
            return lambda content: None if (value := inner(content)) is None else not value
        case exp.EQ() | exp.NEQ() | exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
            compare = _COMPARISONS[type(node)]
            left, right = _term(node.this), _term(node.expression)
            return lambda content: _compare(compare, left(content), right(content))
        case exp.In():
            return _membership(node)
        case exp.Like() | exp.Escape():
            return _like(node)
        case exp.Is() if isinstance(node.expression, exp.Null):
            subject = _term(node.this)
            return lambda content: subject(content) is None
        case exp.Exists() if isinstance(node.this, exp.Column):
            subject = _column(node.this)
            return lambda content: subject(content) is not None
    raise UnsupportedFilterError(f"'{node.sql(dialect='tsql')}' is not supported")


def _connective(node: exp.Expr) -> _Term:
    left, right = _condition(node.this), _condition(node.expression)
    decisive = isinstance(node, exp.Or)

    def evaluate(content: Content) -> bool | None:
        values = left(content), right(content)
        if decisive in values:
            return decisive
        return None if None in values else not decisive

    return evaluate


def _membership(node: exp.In) -> _Term:
    subject = _term(node.this)
    options = [_term(option) for option in node.expressions]

    def evaluate(content: Content) -> bool | None:
        value = subject(content)
        found = [_compare(operator.eq, value, option(content)) for option in options]
        return True if True in found else None if value is None else False

    return evaluate


def _like(node: exp.Expr) -> _Term:
    escape = ""
    if isinstance(node, exp.Escape):
        if not isinstance(node.this, exp.Like) or len(node.expression.name) != 1:
            raise UnsupportedFilterError(f"'{node.sql(dialect='tsql')}' is not supported")
        escape, node = node.expression.name, node.this
    subject = _term(node.this)
    if not isinstance(node.expression, exp.Literal) or not node.expression.is_string:
        raise UnsupportedFilterError(f"'{node.sql(dialect='tsql')}': a LIKE pattern must be a string")
    pattern = re.compile(_regular_expression(node.expression.name, escape), re.DOTALL)
    wanted = not node.args.get("negate")

    def evaluate(content: Content) -> bool | None:
        value = subject(content)
        return (pattern.fullmatch(value) is not None) is wanted if isinstance(value, str) else None

    return evaluate


def _regular_expression(pattern: str, escape: str) -> str:
    parts = []
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            parts.append(re.escape(next(characters, escape)))
        else:
            parts.append({"%": ".*", "_": "."}.get(character, re.escape(character)))
    return "".join(parts)


def _term(node: exp.Expr) -> _Term:
    """Compile a node to a function that returns a value, None if it is missing."""
    constant: Any
    match node:
        case exp.Column():
            return _column(node)
        case exp.Literal():
            constant = node.name if node.is_string else float(node.name)
        case exp.Neg() if isinstance(node.this, exp.Literal) and not node.this.is_string:
            constant = -float(node.this.name)
        case exp.Boolean():
            constant = node.to_py()
        case exp.Paren():
            return _term(node.this)
        case _:
            raise UnsupportedFilterError(f"'{node.sql(dialect='tsql')}' is not supported")
    return lambda _: constant


def _column(node: exp.Column) -> _Term:
    scope = node.table.lower()
    if scope == "sys":
        name = _SYSTEM_PROPERTIES.get(node.name.lower())
        if name is None:
            raise UnsupportedFilterError(f"the system property '{node.name}' is not supported")
        return lambda content: _text(content.properties.get(name))
    if scope not in ("", "user") or node.args.get("db"):
        raise UnsupportedFilterError(f"'{node.sql(dialect='tsql')}' is not supported")
    return _user_property(node.name)


def _user_property(name: str) -> _Term:
    """Return a reader of an application property; its name is compared without case."""
    folded = name.lower()

    def read(content: Content) -> Any:
        properties = content.application_properties
        if name in properties:
            return properties[name]
        return next((value for key, value in properties.items() if key.lower() == folded), None)

    return read


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _compare(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool | None:
    kind = _kind(left)
    return compare(left, right) if kind is not None and kind is _kind(right) else None


def _kind(value: Any) -> type | None:
    """Return the kind of value that may be compared with its like; None for a missing or an incomparable value."""
    if isinstance(value, bool):
        return bool
    if isinstance(value, int | float):
        return float
    return str if isinstance(value, str) else None
