"""Marks of personal fields: events and inputs declare which of their fields hold personal data.

Erasure, messages and tests use these marks; there is no second list. Ids are not marked: without the other data nobody
can tell whose they are.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, TypeAliasType, get_args, get_origin, get_type_hints


class _Mark:
    """The mark in an Annotated type."""

    def __repr__(self) -> str:
        return "PERSONAL"


PERSONAL = _Mark()
"""Marks a field: `name: Annotated[Name, PERSONAL]`."""

Personal = Annotated[str, PERSONAL]
"""Text with personal data: a name, an address, a text that a person wrote."""

ERASED = "erased"
"""Replaces personal data after erasure."""

type Path = tuple[str, ...]
"""The names of fields, from the outermost one inwards; in a list, of each entry."""


class Field(NamedTuple):
    """A field that has no fields of its own.

    Attributes:
        path: its place in the class.
        kind: its type, without None.
        owner: the class that declares it, as far as it is known.
        marked: whether it is marked as personal.
        nullable: whether its class allows None.
    """

    path: Path
    kind: Any
    owner: type | None
    marked: bool
    nullable: bool = False


def personal_fields(kind: type) -> frozenset[Path]:
    """Find the marked fields of a class, and of the classes in it: dataclasses and pydantic's models alike."""
    return frozenset(field.path for field in fields_of(kind) if field.marked)


def fields_of(kind: type) -> Iterator[Field]:
    """Find the fields of a class, and of the classes in it."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name in _declared(kind):
            for field in _within(hint, marked=False):
                yield field._replace(path=(name, *field.path), owner=field.owner or kind)


def _within(hint: Any, *, marked: bool) -> Iterator[Field]:
    origin = get_origin(hint)
    if isinstance(hint, TypeAliasType):
        yield from _within(hint.__value__, marked=marked)
    elif origin is Annotated:
        inner, *metadata = get_args(hint)
        yield from _within(inner, marked=marked or PERSONAL in metadata)
    elif isinstance(hint, type) and origin is None:
        if _declared(hint):
            yield from fields_of(hint)
        elif hint is not NoneType:
            yield Field((), hint, None, marked)
    elif origin is Literal:
        yield Field((), origin, None, marked)
    else:
        nullable = NoneType in get_args(hint)
        found = dict.fromkeys(found for each in get_args(hint) for found in _within(each, marked=marked))
        yield from (each if each.path else each._replace(nullable=nullable) for each in found)


def _declared(kind: type) -> frozenset[str]:
    if is_dataclass(kind):
        return frozenset(field.name for field in fields(kind))
    return frozenset(getattr(kind, "model_fields", ()))
