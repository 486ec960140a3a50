"""How far a generation of a view is behind its event log: each event is looked up in the document that it changed.

A mark moves along the log, also past events that the view does not show: all of the view's events up to it have been
found applied, so that no look begins before it. An event is looked up once more after it was projected, as soon as the
order of the log around it is final. That costs one point read for each document that changed since the last look. A
lost event stops the mark, and is reported here with its age.

A mark belongs to one generation in one container. If either is replaced, the mark starts at the beginning of the log.
Events that there was no time to look up are counted apart, because nothing is known of them.

A mark names the event that it stands at. A log that has no such event there was restored to an earlier time, and the
generation shows what is lost: the mark stays then, so that this is told until the view is made anew.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Self

from shared.frame.platform.background import with_pause
from shared.frame.read_side.container import Container
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.log_source import ChangedDocument
from shared.frame.read_side.presence import anew
from shared.frame.read_side.read_model import View
from shared.frame.read_side.read_your_writes import Document, point_read
from shared.frame.read_side.shape import Shapes, UnreadableShape
from shared.frame.read_side.view_state import ControlChanged, ControlDocument

MOST = 2_000
"""Events that are looked up at a time."""

LOOKS_FOR = 10.0
"""Seconds after which an operator gets the result so far."""

AT_ONCE = 16
"""Documents that are read at the same time."""

SETTLED = timedelta(minutes=1)
"""Age from which the log's order is final: a transaction that began before has ended, and its sequences are visible."""


SHAPES = Shapes(
    what="The mark behind what has been found applied",
    today=2,  # shape 1 had one mark for all generations of a view, so it is true of none
    mend="Nothing: all is looked for again.",
)


@dataclass(frozen=True, slots=True)
class Mark:
    """The place in the log up to which all events have been found applied.

    Attributes:
        generation: the generation that shows them.
        container: its container, by the id that Cosmos DB gave it when it was made.
        event: the id of the event there; None if a release that wrote none has written the mark.
    """

    generation: int
    container: str
    sequence: int
    event: str | None

    @classmethod
    def of(cls, document: Document) -> Self:
        """Read what a document says."""
        event = document.get("event")
        return cls(
            int(document["generation"]),
            str(document["container"]),
            int(document["sequence"]),
            None if event is None else str(event),
        )


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a generation is behind.

    Attributes:
        position: all events up to this sequence have been found applied.
        newest: the sequence of the log's newest event, whether or not the view shows it.
        examined: events behind the position that were looked up.
        unexamined: sequences behind those, which were not looked up; 0 if all events were.
        unapplied: how many of the examined ones are not applied.
        oldest: when the oldest of those occurred.
        settled: the sequence to which the position can move; the position itself where young events were looked up.
    """

    position: int
    newest: int
    examined: int
    unexamined: int
    unapplied: int
    oldest: datetime | None
    settled: int


async def measure(
    view: View,
    cosmos: CosmosDatabase,
    generation: int,
    *,
    young: bool = True,
    upto: float = math.inf,
    within: float = LOOKS_FOR,
) -> Lag:
    """Look up the events behind the mark.

    Args:
        view: the view.
        cosmos: where its marks are.
        generation: which one.
        young: whether to look up the newest events too, which the mark cannot pass yet.
        upto: the last sequence to look up.
        within: seconds after which no more are looked up, after the first `MOST`.

    Raises:
        ResourceNotFoundError: the generation has no container.
    """
    container = view.generations.container(generation)
    until = time.monotonic() + within
    mark = await _mark_of(view, cosmos, generation, container)
    newest = await view.source.newest()
    if mark is not None and await _is_lost(view, mark):
        return Lag(0, newest, 0, newest, 0, None, 0)  # a document may show any version of what is lost
    position = mark.sequence if mark else 0
    old_enough = None if young else datetime.now(UTC) - SETTLED
    held: dict[str, int] = {}
    after = settled = position
    examined = unapplied = unexamined = 0
    ages: list[datetime] = []
    while after < upto and (end := await view.source.stretch(after, old_enough)) is not None:
        if after > position and time.monotonic() > until:
            unexamined = max(0, newest - after)
            break
        # in this order: what is older than the end of a stretch that is final is visible by now
        changed = await view.source.changed(after, end, MOST)
        after = end if len(changed) < MOST else changed[-1].sequence
        looked_for = [event for event in changed if event.sequence <= upto]
        held |= await _versions(container, [it for it in looked_for if it.version > held.get(it.document_id, 0)])
        missing = [event for event in looked_for if event.version > held[event.document_id]]
        if not young and not unapplied:
            first = missing[0].sequence if missing else math.inf
            before = (event.sequence for event in looked_for if event.sequence < first)
            settled = max(before, default=settled) if missing else after
        examined += len(looked_for)
        unapplied += len(missing)
        ages = [min(ages + [event.occurred_at for event in missing])] if ages or missing else []
    return Lag(position, newest, examined, unexamined, unapplied, min(ages, default=None), settled)


async def shows_what_is_lost(view: View, cosmos: CosmosDatabase, generation: int) -> bool:
    """Tell whether a generation shows events that the log has no more: its database was restored to an earlier time.

    Raises:
        ResourceNotFoundError: the generation has no container.
    """
    mark = await _mark_of(view, cosmos, generation, view.generations.container(generation))
    return mark is not None and await _is_lost(view, mark)


async def lost_by(view: View, cosmos: CosmosDatabase) -> list[str]:
    """Describe that the generation that serves shows what is lost, with the remedy; nothing if it does not.

    Raises:
        UnreadableShape: it cannot be read which one serves.
        ResourceNotFoundError: it has no container.
    """
    generation = (await view.generations.read()).serving
    if not await shows_what_is_lost(view, cosmos, generation):
        return []
    shown = f"{view.name}: generation {generation}, which serves, shows events that the event log has no more"
    return [f"{shown}: the database was restored (docs/operations.md, 'The database was restored'). {anew(view)}"]


async def move_mark(view: View, cosmos: CosmosDatabase, generation: int, until: float) -> Lag:
    """Move the mark as far as it goes until this time, in seconds since 1970; each event is looked up once."""
    container = view.generations.container(generation)
    document = _mark(view, cosmos, container)
    while True:
        lag = await measure(view, cosmos, generation, young=False, within=0)
        if lag.settled == lag.position:
            return lag
        mark = await document.stored()
        content = {
            "generation": generation,
            "container": await _made_as(container),
            "sequence": lag.settled,
            "event": str(await view.source.event_at(lag.settled)),
        }
        try:
            await document.write(content, mark["_etag"] if mark else None)
        except ControlChanged:
            return lag
        if time.time() > until:
            return lag


def _mark(view: View, cosmos: CosmosDatabase, container: Container) -> ControlDocument[Mark]:
    return ControlDocument(cosmos, view.name, f"mark-{container.id}", SHAPES, Mark.of)


async def _mark_of(view: View, cosmos: CosmosDatabase, generation: int, container: Container) -> Mark | None:
    made_as = await _made_as(container)
    try:
        mark = await _mark(view, cosmos, container).read()
    except UnreadableShape:
        return None
    return mark if mark and (mark.generation, mark.container) == (generation, made_as) else None


async def _is_lost(view: View, mark: Mark) -> bool:
    event = await view.source.event_at(mark.sequence)
    return event is None or mark.event not in {None, str(event)}


async def _made_as(container: Container) -> str:
    return str((await container.read()).get("_rid", ""))


async def _versions(container: Container, changed: Sequence[ChangedDocument]) -> dict[str, int]:
    held: dict[str, int] = {}
    documents = dict.fromkeys((event.document_id, event.partition_key) for event in changed)
    for some in batched(documents, AT_ONCE, strict=False):
        reading = asyncio.gather(*(point_read(container, *document) for document in some))
        found = await with_pause(reading)  # the pause slows the operator's request down, and no other request
        for (document_id, _), document in zip(some, found, strict=True):
            held[document_id] = int(document.get("version", 0)) if document else 0
    return held
