"""How far a view is behind its event log: every event is looked for in the document that it has to have changed.

A mark moves along the log behind what has been found applied, so each event is looked for once more after it was
projected, when the log's order around it is final: one point read for each document that changed since the last look.
An event that was lost on the way would hold the mark up, and be told of here with its age.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched, takewhile

from shared.messaging.container import Container
from shared.platform.background import with_pause
from shared.platform.control import ControlChanged, ControlDocument
from shared.platform.cosmos import ReadModels
from shared.platform.reading import point_read
from shared.platform.views import Changed, View

MOST = 2_000
"""Events that are looked for at a time."""

AT_ONCE = 16
"""Documents that are read at the same time."""

SETTLED = timedelta(minutes=1)
"""Age from which the log's order is final: a transaction that began before has ended, and its sequences are visible."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a view is behind.

    Attributes:
        position: all events up to this sequence have been found applied.
        newest: the sequence of the newest event.
        examined: events behind the position that were looked for; with `MOST` of them there may be more.
        unapplied: how many of these are not applied yet.
        oldest: when the oldest of those occurred.
        settled: up to where the position can move.
    """

    position: int
    newest: int
    examined: int
    unapplied: int
    oldest: datetime | None
    settled: int


async def measure(view: View, read_models: ReadModels, *, young: bool = True) -> Lag:
    """Look for the events behind the mark.

    Args:
        view: the view.
        read_models: where its mark is.
        young: whether events are looked for too that the mark cannot pass yet.
    """
    mark = await ControlDocument(read_models, view.name, "mark").read()
    position = mark["sequence"] if mark else 0
    newest = await view.source.newest()
    changed = await view.source.changed(position, MOST)
    old_enough = datetime.now(UTC) - SETTLED
    final = list(takewhile(lambda event: event.occurred_at <= old_enough, changed))
    changed = changed if young else final
    held = await _versions((await view.generations.served()).container, changed)
    unapplied = [event for event in changed if event.version > held[event.document_id]]
    first = unapplied[0].sequence if unapplied else newest + 1
    settled = max((event.sequence for event in final if event.sequence < first), default=position)
    oldest = min((event.occurred_at for event in unapplied), default=None)
    return Lag(position, newest, len(changed), len(unapplied), oldest, settled)


async def move_mark(view: View, read_models: ReadModels, until: float) -> Lag:
    """Move the mark as far as it can be moved until this time, in seconds since 1970; each event is looked for once."""
    document = ControlDocument(read_models, view.name, "mark")
    while True:
        lag = await measure(view, read_models, young=False)
        if lag.settled == lag.position:
            return lag
        mark = await document.read()
        try:
            await document.write({"sequence": lag.settled}, mark["_etag"] if mark else None)
        except ControlChanged:
            return lag
        if time.time() > until:
            return lag


async def _versions(container: Container, changed: Sequence[Changed]) -> dict[str, int]:
    held: dict[str, int] = {}
    documents = dict.fromkeys((event.document_id, event.partition_key) for event in changed)
    for some in batched(documents, AT_ONCE, strict=False):
        reading = asyncio.gather(*(point_read(container, *document) for document in some))
        found = await with_pause(reading)  # an operator waits longer for it; without, everybody who orders would
        for (document_id, _), document in zip(some, found, strict=True):
            held[document_id] = document["version"] if document else 0
    return held
