"""Kinds of events: they choose the events that a read model shows, or that a consumer takes."""

from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Kinds:
    """Kinds of events by the names of their classes: only these, or all but these.

    Kinds that a newer release adds are among `all_but`. A read model that does not show them is reported as behind.
    """

    names: frozenset[str]
    are_left_out: bool

    @classmethod
    def only(cls, *kinds: type[Any]) -> Self:
        """Choose only these."""
        return cls(frozenset(kind.__name__ for kind in kinds), are_left_out=False)

    @classmethod
    def all_but(cls, *kinds: type[Any]) -> Self:
        """Choose all but these."""
        return cls(frozenset(kind.__name__ for kind in kinds), are_left_out=True)

    def __contains__(self, name: str) -> bool:
        return (name in self.names) is not self.are_left_out

    def conditions(self, type_: sa.ColumnElement[str]) -> tuple[sa.ColumnElement[bool], ...]:
        """Make the condition that the type in a column is chosen; none if all types are."""
        if not self.names and self.are_left_out:
            return ()
        names: list[sa.ColumnElement[str]] = [
            sa.literal_column(f"'{name}'") for name in sorted(self.names)
        ]  # of classes: letters and digits
        return (type_.not_in(names) if self.are_left_out else type_.in_(names),)


EVERY_KIND = Kinds.all_but()
