"""The base of all repositories: it loads an aggregate at the expected version, and saves it with its events."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.frame.write_side.writes import Write
from shared.kernel.aggregate import Aggregate
from shared.kernel.refusals import NotFound, StaleVersion

RENAMED = {"_is_callers": "_may_access", "_insert_more": "_insert_children", "_update_more": "_update_children"}
"""What subclasses might still override by its earlier name. Nothing would call that, and nothing would say so."""


class Repository[Kind: Aggregate[Any]](ABC):
    """The aggregates of one kind, within one unit of work and on behalf of one command.

    Attributes:
        noun: the name of one aggregate, for people.
        log: the context's event log.
        select: finds an aggregate's rows by `id`; each has its `version`.
        insert: adds a new aggregate's row.
        update: changes an aggregate's row by `id`, if it is at `loaded_version`.
        key: the column with the id.
        missing: the refusal of a command about a missing aggregate.
        taken: the refusal of a new aggregate whose id is taken; LostRace makes the command decide again, on the
        existing one.
    """

    noun: ClassVar[str]
    log: ClassVar[EventLog[Any]]
    select: ClassVar[sa.Select[Any]]
    insert: ClassVar[Write]
    update: ClassVar[Write]
    key: ClassVar[str]
    missing: ClassVar[type[NotFound]]
    taken: ClassVar[type[Exception]]

    def __init_subclass__(cls) -> None:
        """Refuse an override that nothing calls any more.

        Raises:
            TypeError: the class has a method of an earlier name.
        """
        super().__init_subclass__()
        for earlier, name in RENAMED.items():
            if hasattr(cls, earlier):
                raise TypeError(f"{cls.__qualname__}.{earlier} is not called any more: its name is {name}.")

    def __init__(self, work: UnitOfWork, metadata: Metadata) -> None:
        self._work = work
        self._metadata = metadata

    @property
    def metadata(self) -> Metadata:
        """The command's metadata."""
        return self._metadata

    def load(self, id_: UUID) -> Kind:
        """Load an aggregate.

        Raises:
            NotFound: there is none with this id, or it is not the caller's own.
            StaleVersion: it is not at the version that the caller expects.
        """
        return self._aggregate(self._rows(id_, self.select, {"id": id_}))

    def save(self, aggregate: Kind) -> Accepted:
        """Write the aggregate's changes and its events when the unit of work commits.

        Committing raises `taken` if a new aggregate's id is taken, and LostRace if another command has changed the
        aggregate since it was loaded.
        """
        id_: UUID = getattr(aggregate, self.key)
        changed = {"version": aggregate.version, "changed_at": self._metadata.at, **self._mutable_columns(aggregate)}
        if aggregate.loaded_version == 0:
            if self._metadata.expected_versions is not None:
                raise StaleVersion(f"A new {self.noun} has no version yet.")
            row = {self.key: id_, **changed, **self._immutable_columns(aggregate)}
            article = "an" if self.noun[0] in "aeiou" else "a"
            taken = self.taken(f"There is {article} {self.noun} {id_} already.")
            self._work.write(self.insert, [row], otherwise=taken)
            self._insert_children(aggregate)
        else:
            keys = {"id": id_, "loaded_version": aggregate.loaded_version}
            self._work.write(self.update, [changed | keys], must_find=True)
            self._update_children(aggregate)
        self.log.append(self._work, id_, aggregate.loaded_version, aggregate.pending_events, self._metadata)
        return Accepted(id_, aggregate.version)

    def erase(self, aggregate: Kind) -> Accepted:
        """Save it, and replace the personal fields of its earlier events; committing raises as after `save`."""
        accepted = self.save(aggregate)
        self.log.erase(self._work, accepted.aggregate_id, until=aggregate.loaded_version)
        return accepted

    def _rows(self, id_: UUID, statement: sa.Select[Any], parameters: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
        """Read an aggregate's rows, by a statement that may read other rows too; raises as `load` does."""
        self._work.stand_in_line(id_)
        rows = self._work.read(statement, parameters)
        if not rows or not self._may_access(rows[0]):
            raise self.missing(f"There is no {self.noun} {id_}.")
        self._expect(id_, rows[0].version)
        return rows

    def _expect(self, id_: UUID, version: int) -> None:
        """Refuse a version that the caller does not expect."""
        expected = self._metadata.expected_versions
        if expected is not None and version not in expected:
            raise StaleVersion(f"{self.noun.capitalize()} {id_} is at version {version}; If-Match names another.")

    @abstractmethod
    def _aggregate(self, rows: Sequence[sa.Row[Any]]) -> Kind:
        """Make the aggregate from its rows."""

    @abstractmethod
    def _immutable_columns(self, aggregate: Kind) -> Mapping[str, Any]:
        """Give the columns that never change after the aggregate is new."""

    @abstractmethod
    def _mutable_columns(self, aggregate: Kind) -> Mapping[str, Any]:
        """Give the columns that commands change, without its version and the time."""

    def _may_access(self, row: sa.Row[Any]) -> bool:  # noqa: ARG002  # used by repositories of owners' things
        """Whether the caller reaches the aggregate: to other callers it does not exist."""
        return True

    def _insert_children(self, aggregate: Kind) -> None:  # noqa: B027  # most have one row
        """Have the further rows of a new one written."""

    def _update_children(self, aggregate: Kind) -> None:  # noqa: B027  # as above
        """Have its further rows changed."""
