"""The past of an aggregate: its document at a version or a time, folded from the nearest snapshot before it.

A snapshot is an intermediate document of a fold. A reader that folds many events keeps some snapshots, and the next
reader starts there: the cost of a read does not grow with the aggregate's age. Snapshots are a cache (ADR 23): every
row may be deleted at any time. Each has the shape of its document, and snapshots in another shape are ignored.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Recorded
from shared.frame.read_side.document_update import Create, Patch, applied
from shared.frame.sql.columns import JsonText, UtcDateTime
from shared.frame.sql.reading import read_from
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.unit_of_work import LONGEST_TIMEOUT, LostRace, UnitOfWork
from shared.frame.write_side.writes import Row, insert

logger = logging.getLogger(__name__)

EVERY = 100
"""Events between two snapshots, at least. They also have at least as many characters as the snapshot: so an
aggregate's snapshots are never longer than its log, and a fold between two costs about what reading one does."""

PAGE = 500
"""Events that are read at once. After each page the deadline counts, and what was folded is kept."""

_EVER = datetime.max.replace(tzinfo=UTC)


class StillFolding(Exception):
    """The past was not folded in time. The snapshots made so far are kept, so the next reader gets further."""


def snapshot_table(schema: sa.MetaData) -> sa.Table:
    """Declare a context's table of snapshots; `latest` is the latest time of the events in a snapshot."""
    return sa.Table(
        "snapshots",
        schema,
        sa.Column("aggregate_id", sa.Uuid, primary_key=True),
        sa.Column("shape", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("aggregate_version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("latest", UtcDateTime, nullable=False),
        sa.Column("document", JsonText, nullable=False),
    )


@dataclass(slots=True)
class _Fold:
    """An intermediate document; `events` and `characters` count what was folded since the last snapshot."""

    document: dict[str, Any] | None
    version: int
    latest: datetime
    events: int = 0
    characters: int = 0
    longest: int = 0


class Past[Event]:
    """Past documents of one context's aggregates."""

    def __init__(
        self, log: EventLog[Event], snapshots: sa.Table, change: Callable[[Recorded[Event]], Create | Patch], shape: int
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            log: the context's event log.
            snapshots: where its snapshots are.
            change: makes the document update of an event.
            shape: the shape of the documents that `change` makes.
        """
        self._log = log
        self._change = change
        self._shape = shape
        self.insert = insert(snapshots)
        self.nearest = (
            sa.select(snapshots.c.aggregate_version, snapshots.c.latest, snapshots.c.document)
            .where(
                snapshots.c.aggregate_id == sa.bindparam("id", type_=sa.Uuid),
                snapshots.c.shape == sa.bindparam("of_shape", type_=sa.Integer),
                snapshots.c.aggregate_version <= sa.bindparam("until", type_=sa.BigInteger),
                snapshots.c.latest <= sa.bindparam("at", type_=UtcDateTime),
            )
            .order_by(snapshots.c.aggregate_version.desc())
            .limit(1)
        )

    def document(
        self,
        reader: sa.Engine,
        keeper: sa.Engine,
        aggregate_id: UUID,
        version: int,
        at: datetime | None,
        deadline: float,
    ) -> dict[str, Any] | None:
        """Make the document as it was at a version or, if that was earlier, at a time; None before the first event.

        Where the log ends before, the document is as of its end.

        Args:
            reader: reads the log.
            keeper: writes snapshots.
            aggregate_id: the aggregate.
            version: the last event that counts.
            at: the first event after this time, and all that follow it, do not count.
            deadline: when to stop, by time.monotonic.

        Raises:
            StillFolding: the deadline came first.
        """

        def fold(connection: sa.Connection) -> dict[str, Any] | None:
            connection = connection.execution_options(statement_timeout=LONGEST_TIMEOUT)
            folded = self._start(connection, aggregate_id, version, at or _EVER)
            while folded.version < version:
                if time.monotonic() > deadline:
                    raise StillFolding
                until = min(version, folded.version + PAGE)
                page = self._log.history(connection, aggregate_id, after=folded.version, until=until)
                as_of = [*_until(page, at or _EVER)]
                self._keep(keeper, aggregate_id, self._on(folded, as_of))
                if len(as_of) < PAGE:
                    break
            return folded.document

        return read_from(reader, fold)

    def _start(self, connection: sa.Connection, aggregate_id: UUID, version: int, at: datetime) -> _Fold:
        values = {"id": aggregate_id, "of_shape": self._shape, "until": version, "at": at}
        row = connection.execute(self.nearest, values).one_or_none()
        if row is None:
            return _Fold(None, 0, datetime.min.replace(tzinfo=UTC))
        return _Fold(json.loads(row.document), row.aggregate_version, row.latest)

    def _on(self, fold: _Fold, page: Sequence[Recorded[Event]]) -> list[Row]:
        """Fold a page, and give the snapshots that are worth keeping."""
        kept: list[Row] = []
        for recorded in page:
            envelope = recorded.envelope
            fold.document = applied(fold.document, self._change(recorded))
            fold.version = fold.document["version"] = envelope.version
            fold.latest = max(fold.latest, envelope.occurred_at)
            fold.events += 1
            fold.characters += len(envelope.payload)
            if fold.events >= EVERY and fold.characters >= fold.longest:
                document = json.dumps(fold.document, ensure_ascii=False, separators=(",", ":"))
                fold.longest = len(document)
                if fold.characters >= fold.longest:
                    kept.append({"aggregate_version": fold.version, "latest": fold.latest, "document": document})
                    fold.events = fold.characters = 0
        return kept

    def _keep(self, keeper: sa.Engine, aggregate_id: UUID, kept: Sequence[Row]) -> None:
        """Try to write snapshots; the answer does not depend on it."""
        rows = [{"aggregate_id": aggregate_id, "shape": self._shape, **row} for row in kept]
        try:
            with UnitOfWork(keeper) as work:
                work.write(self.insert, rows)
                work.commit()
        except LostRace:
            pass  # another reader has kept them
        except sa.exc.SQLAlchemyError as error:
            logger.warning("snapshots of %s were not kept: %s", aggregate_id, type(error).__name__)


def _until(page: Sequence[Recorded[Any]], at: datetime) -> Sequence[Recorded[Any]]:
    """Give the events before the first one that occurred later.

    Clocks of machines differ, so a later version may have an earlier time; but no event can be applied without its
    predecessors.
    """
    for place, recorded in enumerate(page):
        if recorded.envelope.occurred_at > at:
            return page[:place]
    return page
