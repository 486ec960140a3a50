"""Compares a partition of a read model with the event log, and heals it, while live events are projected."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import batched
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.frame.platform.background import with_pause
from shared.frame.platform.threads import REBUILDING
from shared.frame.read_side.container import Container, deleted, is_without_container, replaced
from shared.frame.read_side.partitions import Fold, History, Own, Partitions
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import Document, point_read
from shared.frame.sql.reading import read_from

logger = logging.getLogger(__name__)

AT_ONCE = 8
"""Documents that are read at the same time."""

ALL = 2**31 - 1

COMPARED = 500
"""Aggregates of a partition that are compared with the log; if it has more, what follows from all of them is not."""

TRIES = 20
"""Reads of a busy partition before what follows from several of its documents is left to the next check, or a document
to the next healing."""

EVERYTHING = "SELECT * FROM c"


class Difference(NamedTuple):
    """A document that differs from what the log makes of it.

    Attributes:
        partition_key: the partition that was compared, and can be healed.
        what: how it differs: `missing`, `behind`, `left over`, or the names of the properties that differ.
    """

    document_id: str
    partition_key: str
    what: str


LEFT_OVER = "left over"
"""Reported for a document that the log does not account for, or no more."""

UNREADABLE = "shape"
"""Reported for a document in a shape that this release cannot read."""


class Derived(Protocol):
    """Documents in other partitions that are made of one partition's documents alone."""

    def home(self, document_id: str, partition_key: str) -> str:
        """Name the partition of whose documents a derived document is made; for any other document, its own."""

    async def write(self, container: Container, partition_key: str) -> None:
        """Write them from the partition as it is now, unless they are up to date; in any order, and concurrently."""

    async def differences(self, container: Container, partition_key: str) -> Sequence[Difference]:
        """Give those that differ from what the partition makes of them, each with the key of that partition."""

    async def heal(self, container: Container, partition_key: str) -> None:
        """Write those that differ again."""


class Comparison[Event]:
    """The documents of a read model beside what its context's log makes of them."""

    def __init__(
        self,
        reader: sa.Engine,
        projection: Projection[Event],
        partitions: Partitions[Event],
        derived: Derived | None = None,
    ) -> None:
        self._reader = reader
        self._projection = projection
        self._partitions = partitions
        self._derived = derived

    async def differences(self, container: Container, partition_key: str) -> Sequence[Difference]:
        """Compare a partition's documents with the log."""
        fold = await self._one(partition_key, COMPARED + 1)
        if fold is None:
            return []
        some = {fold.gate(history) for history in fold.histories[:COMPARED]}
        all_of_them = len(some) == len(fold.histories)
        if all_of_them:
            stored, shared, at_one_moment = await self._seen_together(container, partition_key)
        else:
            stored, at_one_moment = await _chosen(container, partition_key, some), False
            shared = await self._shared(container, partition_key)
        # read the log after the documents, so that it has all events that they show
        fold = await self._one(partition_key, ALL if all_of_them else COMPARED + 1)
        if fold is None:
            return []
        right = await REBUILDING.run(_own, fold, None if all_of_them else some)  # folding many takes a while
        left_over = self._left_over(partition_key, right, stored) if all_of_them else []
        missing = [id_ for _, own in right for id_ in own if id_ not in stored]
        stored = {**stored, **await _chosen(container, partition_key, missing)}
        found = await REBUILDING.run(self._own_differences, fold, right, stored)
        found += [Difference(id_, partition_key, LEFT_OVER) for id_ in left_over]
        together = stored if at_one_moment else None
        found += await REBUILDING.run(self._shared_differences, fold, shared, together)
        if self._derived is not None:
            found += await self._derived.differences(container, partition_key)
        return found

    async def heal(self, container: Container, partition_key: str) -> None:
        """Replace wrong documents at their versions, bring them up to date, then replace those that are still wrong."""
        await self._replace_wrong(container, partition_key)  # first: events cannot be applied to damaged documents
        fold = await self._one(partition_key, ALL)
        if fold is None:
            return
        for history in fold.histories:
            id_, version = history[0].envelope.aggregate_id, history[-1].envelope.version
            await self._projection.catch_up(container, id_, fold.gate(history), partition_key, version)
        await self._replace_wrong(container, partition_key)  # shared documents lacked the missing events
        if self._derived is not None:
            await self._derived.heal(container, partition_key)

    async def _replace_wrong(self, container: Container, partition_key: str) -> None:
        for _ in range(TRIES):
            try:
                if await self._replaced(container, partition_key):
                    return
            except (ResourceExistsError, ResourceNotFoundError) as error:
                if is_without_container(error):
                    raise
                # else an event came in between: look again
        logger.warning(
            "%s changed during each of %s tries to heal it; a check finds what is left", partition_key, TRIES
        )

    async def _replaced(self, container: Container, partition_key: str) -> bool:
        shared = await self._shared(container, partition_key)  # read first, so that its etag detects every later change
        stored = await _partition(container, partition_key)
        fold = await self._one(partition_key, ALL)
        if fold is None:
            return True
        right = await REBUILDING.run(_own, fold, None)
        for id_ in self._left_over(partition_key, right, stored):
            if not await deleted(container, stored[id_], partition_key):
                return False
        for id_, document in await REBUILDING.run(self._all_as_of, fold, right, stored):
            if id_ in stored and not await self._set_right(container, partition_key, document, stored[id_]):
                return False
        fresh = await REBUILDING.run(fold.shared, self._as_stored(fold, stored), {})
        for id_, document in fresh.items():
            before = shared.get(id_)
            if before is None:
                await container.create_item(document)
            elif (what := self._different(document, before)) and not await replaced(
                container, self._healed(document, before, what), before
            ):
                return False
        return True

    def _left_over(
        self, partition_key: str, right: Iterable[tuple[History[Event], Own]], stored: Iterable[str]
    ) -> Sequence[str]:
        """Give the documents stored in a partition that none of its aggregates accounts for.

        Args:
            partition_key: the partition.
            right: all of its aggregates, read after the documents.
            stored: the ids of its documents.
        """
        accounted = {id_ for _, own in right for id_ in own}.union(self._partitions.shared_ids(partition_key))
        return [id_ for id_ in stored if id_ not in accounted]

    async def _set_right(
        self, container: Container, partition_key: str, right: Document | None, stored: Document
    ) -> bool:
        """Replace a wrong document, unless it has changed since it was read; tell whether it is right now."""
        if right is None:
            return await deleted(container, stored, partition_key)
        what = self._different(right, stored)
        return not what or await replaced(container, self._healed(right, stored, what), stored)

    def _healed(self, right: Document, stored: Document, what: str) -> dict[str, Any]:
        """Give the right document with the stored one's times, where it has them, and its changes counted."""
        own = right if what == UNREADABLE else self._partitions.shapes_of(stored).read(stored)
        counter = self._partitions.counter
        healed = {**right, counter: own.get(counter, 0) + 1}
        if "projected" in right:
            version, times = right["version"], own.get("projected") or []
            healed["projected"] = [*times[:version], *[None] * (version - len(times))]
        return healed

    def _own_differences(
        self, fold: Fold[Event], right: Iterable[tuple[History[Event], Own]], stored: Mapping[str, Document]
    ) -> list[Difference]:
        found: list[Difference] = []
        for history, latest in right:
            as_of = self._as_of(fold, history, latest, stored)
            for id_, document in as_of.items():
                what: str | None = None
                if id_ not in stored:
                    what = "missing"
                elif document is None:
                    what = LEFT_OVER
                else:
                    what = self._different(document, stored[id_])
                    what = what or ("behind" if self._version(fold, history, id_, stored) < len(history) else None)
                found += [Difference(id_, fold.partition_key, what)] if what else []
        return found

    def _shared_differences(
        self, fold: Fold[Event], shared: Mapping[str, Document], together: Mapping[str, Document] | None
    ) -> list[Difference]:
        """Compare the shared documents, and give those that lack events of an aggregate whose versions they count.

        Args:
            fold: the partition.
            shared: its shared documents.
            together: all its documents, read at one moment with these. Without them, what follows from several
            aggregates is not compared.
        """
        left_out = self._partitions.combined if together is None else frozenset[str]()
        found: list[Difference] = []
        for id_, document in fold.shared(self._as_stored(fold, shared if together is None else together), {}).items():
            right = {name: value for name, value in document.items() if name not in left_out}
            what = self._different(right, shared[id_]) if id_ in shared else "missing"
            found += [Difference(id_, fold.partition_key, what)] if what else []
        return found + [
            Difference(gate, fold.partition_key, "behind")
            for history in fold.histories
            if (gate := fold.gate(history)) in shared and self._version(fold, history, gate, shared) < len(history)
        ]

    def _as_of(
        self, fold: Fold[Event], history: History[Event], latest: Own, stored: Mapping[str, Document]
    ) -> Mapping[str, Document | None]:
        """Give the right documents of an aggregate, each at the version that the stored one shows; None before it."""
        folded: dict[int, Own] = {len(history): latest}
        as_of: dict[str, Document | None] = {}
        for id_ in latest:
            version = len(history)
            if id_ in stored:
                version = min(version, self._version(fold, history, id_, stored))
            if version not in folded:
                folded[version] = fold.own(history[:version])
            as_of[id_] = folded[version].get(id_)
        return as_of

    def _all_as_of(
        self, fold: Fold[Event], right: Iterable[tuple[History[Event], Own]], stored: Mapping[str, Document]
    ) -> Sequence[tuple[str, Document | None]]:
        return [entry for history, latest in right for entry in self._as_of(fold, history, latest, stored).items()]

    def _as_stored(self, fold: Fold[Event], stored: Mapping[str, Document]) -> Sequence[History[Event]]:
        """Give the histories of the aggregates that are stored, each up to its stored version."""
        return [
            history[: self._version(fold, history, gate, stored)]
            for history in fold.histories
            if (gate := fold.gate(history)) in stored
        ]

    def _version(self, fold: Fold[Event], history: History[Event], id_: str, stored: Mapping[str, Document]) -> int:
        """Give the version that a document shows; for an unreadable document, the version in the log."""
        document = stored[id_]
        if "version" not in document:
            document = stored.get(fold.gate(history), document)
        if not self._partitions.shapes_of(document).reads(document):
            return len(history)
        return int(document.get("version", len(history)))

    def _different(self, right: Document, stored: Document) -> str | None:
        """Name the properties in which a document is wrong; `shape` if it cannot be read; None if it is right."""
        shapes = self._partitions.shapes_of(right)
        if not shapes.reads(stored):
            return UNREADABLE
        shown = shapes.read(stored)
        compared = right.keys() - {"projected", self._partitions.counter}  # these tell of the document's own history
        wrong = sorted(name for name in compared if right[name] != shown.get(name))
        if not wrong and "projected" in right and "projected" not in shown:
            return "projected"  # times differ by right, but the property must exist: the next event adds a time to it
        return ", ".join(wrong) or None

    async def _seen_together(
        self, container: Container, partition_key: str
    ) -> tuple[dict[str, Document], Mapping[str, Document], bool]:
        """Read a partition, and tell whether its shared documents fit the others: no event came during the read."""
        shared = await self._shared(container, partition_key)
        for _ in range(TRIES):
            before = shared
            stored = await _partition(container, partition_key)
            shared = await self._shared(container, partition_key)
            if _etags(before) == _etags(shared):
                return stored, shared, True
        return stored, shared, False

    async def _shared(self, container: Container, partition_key: str) -> Mapping[str, Document]:
        ids = self._partitions.shared_ids(partition_key)
        return {id_: document for id_ in ids if (document := await point_read(container, id_, partition_key))}

    async def _one(self, partition_key: str, most: int) -> Fold[Event] | None:
        return await REBUILDING.run(
            read_from, self._reader, lambda connection: self._partitions.one(connection, partition_key, most)
        )


def _own[Event](fold: Fold[Event], gates: set[str] | None) -> Sequence[tuple[History[Event], Own]]:
    """Fold the aggregates with these gates, or all."""
    return [(history, fold.own(history)) for history in fold.histories if gates is None or fold.gate(history) in gates]


async def _partition(container: Container, partition_key: str) -> dict[str, Document]:
    return {row["id"]: row async for row in container.query_items(EVERYTHING, partition_key=partition_key)}


async def _chosen(container: Container, partition_key: str, ids: Iterable[str]) -> dict[str, Document]:
    stored: dict[str, Document] = {}
    for some in batched(ids, AT_ONCE, strict=False):
        reading = asyncio.gather(*(point_read(container, id_, partition_key) for id_ in some))
        found = await with_pause(reading)
        stored |= {id_: document for id_, document in zip(some, found, strict=True) if document is not None}
    return stored


def _etags(documents: Mapping[str, Document]) -> Mapping[str, str]:
    return {id_: document["_etag"] for id_, document in documents.items()}
