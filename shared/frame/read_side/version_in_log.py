"""The version that the log has for a document of one aggregate, if the document is in the partition that was named."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Recorded
from shared.frame.messaging.event_types import EventTypes
from shared.frame.read_side.comparing import Derived
from shared.frame.read_side.document_update import DocumentUpdate, document_id
from shared.frame.write_side.event_log import EventLog


@dataclass(frozen=True, slots=True)
class VersionOfAggregate[Event]:
    """Gives it, by the aggregate's first event, which tells where its document is; see VersionInLog.

    Attributes:
        log: the context's event log.
        event_types: the events that the read model shows.
        project: makes the document update of an event.
        derived: documents in other partitions that are made of a partition's documents.
    """

    log: EventLog[Event]
    event_types: EventTypes
    project: Callable[[Recorded[Event]], DocumentUpdate]
    derived: Derived | None

    def __call__(self, connection: sa.Connection, id_: str, partition_key: str) -> int:
        """Give the version, or 0.

        A missing document and one in another partition cost the same query, so the time reveals nothing.
        """
        home = partition_key if self.derived is None else self.derived.home(id_, partition_key)
        if self._home_of(connection, UUID(id_)) != (home, id_):
            return 0
        return self.log.version(connection, UUID(id_))

    def _home_of(self, connection: sa.Connection, aggregate_id: UUID) -> tuple[str, str] | None:
        for first in self.log.history(connection, aggregate_id, until=1):
            if first.envelope.type in self.event_types:
                change = self.project(first)
                return change.partition_key, document_id(change.gate)
        return None
