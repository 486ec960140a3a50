"""A read model as its context declares it: its view, its projection, and the version that its log has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shared.frame.read_side.generations import Generations, Served
from shared.frame.read_side.log_source import LogSource
from shared.frame.read_side.projection import Projection
from shared.frame.sql.reading import read_from

type VersionInLog = Callable[[sa.Connection, str, str], int]
"""Gives the version that the log has for a document, by its id and partition key; 0 if the log has nothing for it.

What belongs to another partition is nothing: a caller may see this partition alone, and must not learn how many events
others have.
"""


@dataclass(frozen=True, slots=True)
class ReadAt:
    """The API's paths to a document, and to what belongs to it, for operators.

    Attributes:
        now: the document as it is now.
        then: the document as it was at {version}.
        event: the content of the event after version {before}, as the only item of `events`.
        process: the process that the document's subject goes through, as an item of `GET /ops/processes`; a 404 if none
            has begun.
    """

    now: str | None = None
    then: str | None = None
    event: str | None = None
    process: str | None = None


NOWHERE = ReadAt()

type WhereRead = Callable[[str, str], ReadAt]
"""Tells where the API shows a document, by its id and partition key."""


@dataclass(frozen=True, slots=True)
class View:
    """One view, its containers and its source."""

    generations: Generations
    source: LogSource[Any]

    @property
    def name(self) -> str:
        """Its name, as operators know it."""
        return self.generations.view


class ReadModel[Event]:
    """A read model: its view for operators, its projection, and the version that its log has."""

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
        """Give the container that queries read now."""
        return await self.view.generations.served()

    def logged(self, document_id: str, partition_key: str) -> int:
        """Give the version that the log has for a document; it runs on a thread."""
        return read_from(self.reader, lambda connection: self._version_in_log(connection, document_id, partition_key))
