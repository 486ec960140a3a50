"""Projections: each event changes its read model exactly once, however often, late or out of order it comes.

Event n is applied to a document at version n-1 in one atomic Cosmos operation that checks this. If the check fails, the
event was applied before, which is fine, or events before it are missing, which the log fills in. Many missing events of
one document alone are folded in memory and written as one: during a rebuild, the first event of a product's stock may
have thousands before it, and the generation that serves is written after the new one.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import batched
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from azure.core.exceptions import HttpResponseError

from shared.frame.messaging.envelope import Recorded
from shared.frame.platform.threads import DELIVERY
from shared.frame.read_side.container import Container, replaced, stored_document
from shared.frame.read_side.document_update import (
    PATCH_LIMIT,
    Create,
    DocumentUpdate,
    Patch,
    document_id,
    folded,
    gated,
)
from shared.frame.read_side.shape import Shapes
from shared.frame.sql.reading import read_from
from shared.frame.write_side.event_log import EventLog

logger = logging.getLogger(__name__)

TRIES = 20
"""Rounds of looking and applying again before a delivery is given back to Service Bus."""

PAGE = 500
"""Events that are read from the log at once, to fill a gap."""

LONG = 5
"""Missing events from which on they are folded and written at once, if they change one document alone."""

_RECONSIDER = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})
"""Statuses of a write after which the document is looked at; where the container is missing, the look says so."""


class GapInLog(Exception):
    """An event's predecessors are neither applied nor in the log: repeating the delivery ends in a dead letter."""


class Projection[Event]:
    """Keeps one read model up to date from one context's events."""

    def __init__(
        self,
        containers: Callable[[], Awaitable[Sequence[Container]]],
        engine: sa.Engine,
        log: EventLog[Event],
        change: Callable[[Recorded[Event]], DocumentUpdate],
        reconsider: Callable[[Container, Recorded[Event]], Awaitable[DocumentUpdate]] | None = None,
        derive: Callable[[Container, str], Awaitable[None]] | None = None,
        tolerate_missing: Callable[[Container], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            containers: where the documents are; more than one while another generation of the view is kept as well.
            engine: reaches the log; used only when there is a gap.
            log: the context's event log.
            change: makes the document update from the event alone; applying it takes one request.
            reconsider: makes it from the event and the stored documents, when that of `change` did not fit them.
            derive: writes the documents in other partitions that are made of the changed one, by its key. It is safe to
            repeat, and is called for repeated events as well.
            tolerate_missing: goes on without a missing container that nobody needs; see Generations.
        """
        self._containers = containers
        self._reader = engine
        self._log = log
        self._change = change
        self._reconsider = reconsider
        self._derive = derive
        self._tolerate_missing = tolerate_missing

    async def project(self, recorded: Recorded[Event]) -> None:
        """Apply an event once to each container, after its predecessors.

        Raises:
            GapInLog: events are missing that the log does not have.
            HttpResponseError: the store does not answer, or refuses the update.
            UnreadableShape: a document is in a shape that this release cannot read.
        """
        for container in await self._containers():
            with self._tolerate_missing(container):
                await self._project(container, recorded)
                if self._derive is not None:
                    await self._derive(container, self._change(recorded).partition_key)
        envelope = recorded.envelope
        logger.info(
            "projected %s, version %s of %s (correlation %s, causation %s, trace %s)",
            *(envelope.type, envelope.version, envelope.aggregate_id),
            *(envelope.correlation_id, envelope.causation_id, envelope.traceparent),
        )

    async def catch_up(
        self, container: Container, aggregate_id: UUID, document_id: str, partition_key: str, until: int
    ) -> None:
        """Apply the events that the document lacks from the log, up to and including version `until`.

        Raises:
            GapInLog: the log lacks some of them.
        """
        held = await _version(container, document_id, partition_key)
        if held >= until:
            return
        logger.warning("filling %s to %s of %s from the log", held + 1, until, aggregate_id)
        races = 0
        while held < until:
            end = min(until, held + PAGE)
            missing = await DELIVERY.run(self._history, aggregate_id, held, end)
            if len(missing) != end - held:
                raise GapInLog(f"{aggregate_id} is at {held}; the log has {len(missing)} of the events up to {end}")
            changes = [self._change(recorded) for recorded in missing]
            if len(changes) < LONG or races == TRIES or not all(map(_is_of_one_document, changes)):
                for recorded in missing:
                    await self._project(container, recorded)
            elif not await _written_at_once(container, changes, held):
                races += 1
                held = await _version(container, document_id, partition_key)
                continue
            held = end

    async def _project(self, container: Container, recorded: Recorded[Event]) -> None:
        envelope = recorded.envelope
        change = self._change(recorded)
        for _ in range(TRIES):
            try:
                await _write(container, change, envelope.version)
            except HttpResponseError as error:
                if error.status_code not in _RECONSIDER:
                    raise
                failed = error
            else:
                return
            gate_id = document_id(change.gate)
            shapes = None if isinstance(change.gate, Create) else change.gate.shapes
            held = await _version(container, gate_id, change.partition_key, shapes)
            if held >= envelope.version:
                return
            if held < envelope.version - 1:
                await self.catch_up(
                    container, envelope.aggregate_id, gate_id, change.partition_key, envelope.version - 1
                )
            elif change.beside is not None:
                await self._bring(container, change.beside, change.others[0], change.partition_key)
            elif self._reconsider is not None:
                change = await self._reconsider(container, recorded)
            # else its predecessor has been applied since: try again
        raise failed

    async def _bring(self, container: Container, aggregate_id: UUID, step: Create | Patch, partition_key: str) -> None:
        """Make sure that another aggregate's document exists, in today's shape."""
        shapes = step.shapes if isinstance(step, Patch) else None
        if await _version(container, document_id(step), partition_key, shapes) == 0:
            await self.catch_up(container, aggregate_id, document_id(step), partition_key, until=1)

    def _history(self, aggregate_id: UUID, after: int, until: int) -> Sequence[Recorded[Event]]:
        return read_from(self._reader, lambda connection: self._log.history(connection, aggregate_id, after, until))


async def _version(container: Container, document_id: str, partition_key: str, shapes: Shapes | None = None) -> int:
    """Give a document's version, 0 if there is no document; with `shapes`, bring it into today's shape first."""
    if shapes is not None:
        stored = await shapes.read_migrated(container, document_id, partition_key)
    else:
        stored = await stored_document(container, document_id, partition_key)
    return int(stored["version"]) if stored else 0


def _is_of_one_document(change: DocumentUpdate) -> bool:
    """Tell whether nothing but the version decides whether a change is made, and what it changes."""
    return not change.others and (isinstance(change.gate, Create) or change.gate.condition is None)


async def _written_at_once(container: Container, changes: Sequence[DocumentUpdate], held: int) -> bool:
    """Fold changes of one document that is at version `held`, and write it; False if it has changed meanwhile."""
    gates, before = [change.gate for change in changes], None
    if isinstance(first := gates[0], Patch):
        before = await first.shapes.read_migrated(container, first.document_id, changes[0].partition_key)
        if before is None or before["version"] != held:
            return False
    document = await DELIVERY.run(folded, gates, dict(before) if before else None)
    try:
        if before is not None:
            return await replaced(container, document, before)
        await container.create_item(document, no_response=True)
    except HttpResponseError as error:
        if error.status_code not in _RECONSIDER:
            raise
        return False
    return True


async def _write(container: Container, change: DocumentUpdate, version: int) -> None:
    match [gated(change.gate, version, datetime.now(UTC)), *change.others]:
        case [Create(document)]:
            await container.create_item(dict(document), no_response=True)
        case [Patch() as patch] if len(patch.operations) <= PATCH_LIMIT:
            await container.patch_item(
                patch.document_id,
                change.partition_key,
                [dict(operation) for operation in patch.operations],
                filter_predicate=patch.when,
                no_response=True,
            )
        case several:
            batch = [operation for step in several for operation in _batch_operations(step)]
            await container.execute_item_batch(batch, change.partition_key)


def _batch_operations(step: Create | Patch) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    if isinstance(step, Create):
        return [("create", (dict(step.document),), {})]
    guard = {"filter_predicate": step.when}
    # The whole batch fails with its first operation, so guarding that one guards all parts of a patch that is split.
    return [
        ("patch", (step.document_id, [dict(operation) for operation in part]), {} if place else guard)
        for place, part in enumerate(batched(step.operations, PATCH_LIMIT, strict=False))
    ]
