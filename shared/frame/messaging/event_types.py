"""Event types: the choice of events that a read model shows, or that a consumer takes."""

from dataclasses import dataclass, replace
from typing import Any, Self

import sqlalchemy as sa

from shared.frame.messaging.codec import EventCodec


@dataclass(frozen=True, slots=True)
class EventTypes:
    """Event types by the names of their classes: only these, or all but these.

    Name the class that is written today; `with_earlier_versions` adds its earlier versions.
    Types that a newer release adds are among `all_but`. A read model that does not show them is reported as behind.
    """

    names: frozenset[str]
    are_left_out: bool

    @classmethod
    def only(cls, *types: type[Any]) -> Self:
        """Choose only these."""
        return cls(frozenset(each.__name__ for each in types), are_left_out=False)

    @classmethod
    def all_but(cls, *types: type[Any]) -> Self:
        """Choose all but these."""
        return cls(frozenset(each.__name__ for each in types), are_left_out=True)

    def with_earlier_versions(self, codec: EventCodec[Any]) -> Self:
        """Add the earlier versions that are read as one of these: a log keeps them.

        Raises:
            ValueError: one is itself an earlier version, so no event that is written today would be of this type.
        """
        if stale := sorted(self.names & codec.read_as.keys()):
            raise ValueError(f"{stale[0]} is not written any more: name {codec.read_as[stale[0]]} in its place.")
        earlier = {name for name, today in codec.read_as.items() if today in self.names}
        return replace(self, names=self.names | earlier)

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


ALL_EVENT_TYPES = EventTypes.all_but()
