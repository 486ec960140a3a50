"""What all repositories share: an aggregate is loaded at the version that is expected, and saved with its events."""

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


class Repository[Kind: Aggregate[Any]](ABC):
    """The aggregates of one kind, within one unit of work and on behalf of one command.

    Attributes:
        noun: what people call one of them.
        log: their context's event log.
        select: finds the rows of one by `id`; each has its `version`.
        insert: adds the row of a new one.
        update: changes the row of one by `id`, where it is at `loaded_version`.
        key: the column that holds its id.
        missing: refuses a command about one that is not there.
        taken: refuses a new one whose id is taken; or LostRace, where that one is to be decided on instead.
    """

    noun: ClassVar[str]
    log: ClassVar[EventLog[Any]]
    select: ClassVar[sa.Select[Any]]
    insert: ClassVar[Write]
    update: ClassVar[Write]
    key: ClassVar[str]
    missing: ClassVar[type[NotFound]]
    taken: ClassVar[type[Exception]]

    def __init__(self, work: UnitOfWork, metadata: Metadata) -> None:
        self._work = work
        self._metadata = metadata

    @property
    def metadata(self) -> Metadata:
        """The command's."""
        return self._metadata

    def load(self, id_: UUID) -> Kind:
        """Load one.

        Raises:
            NotFound: there is none with this id, or it is not the caller's.
            StaleVersion: it is not at the version that the caller acts on.
        """
        return self._aggregate(self._rows(id_, self.select, {"id": id_}))

    def save(self, aggregate: Kind) -> Accepted:
        """Have what the command changed written, and its events.

        Committing raises `taken` if a new one's id is taken, and LostRace if another command changed it since it was
        loaded.
        """
        id_: UUID = getattr(aggregate, self.key)
        changed = {"version": aggregate.version, "changed_at": self._metadata.at, **self._changing(aggregate)}
        if aggregate.loaded_version == 0:
            if self._metadata.expected_versions is not None:
                raise StaleVersion(f"A new {self.noun} has no version yet.")
            row = {self.key: id_, **changed, **self._fixed(aggregate)}
            article = "an" if self.noun[0] in "aeiou" else "a"
            taken = self.taken(f"There is {article} {self.noun} {id_} already.")
            self._work.write(self.insert, [row], otherwise=taken)
            self._insert_more(aggregate)
        else:
            keys = {"id": id_, "loaded_version": aggregate.loaded_version}
            self._work.write(self.update, [changed | keys], must_find=True)
            self._update_more(aggregate)
        self.log.append(self._work, id_, aggregate.loaded_version, aggregate.pending_events, self._metadata)
        return Accepted(id_, aggregate.version)

    def erase(self, aggregate: Kind) -> Accepted:
        """Save it, and have replaced what its events until then say of a person; committing raises as after `save`."""
        accepted = self.save(aggregate)
        self.log.erase(self._work, accepted.aggregate_id, until=aggregate.loaded_version)
        return accepted

    def _rows(self, id_: UUID, statement: sa.Select[Any], parameters: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
        """Read the rows of one, by a statement that may read more beside it; raises as `load` does."""
        self._work.stand_in_line(id_)
        rows = self._work.read(statement, parameters)
        if not rows or not self._is_callers(rows[0]):
            raise self.missing(f"There is no {self.noun} {id_}.")
        self._expect(id_, rows[0].version)
        return rows

    def _expect(self, id_: UUID, version: int) -> None:
        """Refuse another version than the caller acts on."""
        expected = self._metadata.expected_versions
        if expected is not None and version not in expected:
            raise StaleVersion(f"{self.noun.capitalize()} {id_} is at version {version}; If-Match names another.")

    @abstractmethod
    def _aggregate(self, rows: Sequence[sa.Row[Any]]) -> Kind:
        """Make an aggregate of its rows."""

    @abstractmethod
    def _fixed(self, aggregate: Kind) -> Mapping[str, Any]:
        """Give the columns that stay as they were when it was new."""

    @abstractmethod
    def _changing(self, aggregate: Kind) -> Mapping[str, Any]:
        """Give the columns that commands change, without its version and the time."""

    def _is_callers(self, row: sa.Row[Any]) -> bool:  # noqa: ARG002  # for those who know whose it is
        """Whether the caller reaches it: to others it does not exist."""
        return True

    def _insert_more(self, aggregate: Kind) -> None:  # noqa: B027  # most have one row
        """Have the further rows of a new one written."""

    def _update_more(self, aggregate: Kind) -> None:  # noqa: B027  # as above
        """Have its further rows changed."""
