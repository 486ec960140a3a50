"""A read model as its context declares it: how operators know it, what keeps it up to date, how far its log is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from shared.frame.read_side.container import Container
from shared.frame.read_side.generations import Served
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.rebuildable import View
from shared.frame.sql.reading import read_from

type VersionInLog = Callable[[sa.Connection, str, str], int]
"""Tells the version to which a document can come, by its id and partition key; 0 if there is nothing to show in it."""


@dataclass(frozen=True, slots=True)
class ReadAt:
    """Where the API shows a document, for who operates: paths.

    Attributes:
        now: the document as it is.
        then: as it was at {version}.
        event: what the event said that followed version {before} of it, as the one of `events`.
    """

    now: str | None = None
    then: str | None = None
    event: str | None = None


NOWHERE = ReadAt()

type WhereRead = Callable[[str, str], ReadAt]
"""Tells where the API shows a document, by its id and partition key."""


class ReadModel[Event]:
    """A read model: as operators know it, what keeps it up to date, and how far its log is."""

    def __init__(
        self,
        view: View,
        projection: Projection[Event],
        reader: sa.Engine,
        version_in_log: VersionInLog,
        read_at: WhereRead,
    ) -> None:
        self.view = view
        self.projection = projection
        self.reader = reader
        self.read_at = read_at
        self._version_in_log = version_in_log

    async def served(self) -> Served:
        """Give what queries read now."""
        return await self.view.generations.served()

    async def written(self) -> Sequence[Container]:
        """Give the containers that are kept up to date."""
        return await self.view.generations.written()

    def logged(self, document_id: str, partition_key: str) -> int:
        """Tell, on a thread, the version to which a document can come."""
        return read_from(self.reader, lambda connection: self._version_in_log(connection, document_id, partition_key))
