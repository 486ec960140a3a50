"""Filling a partition: documents folded from the log, written once, together with what several aggregates share.

Filling runs while live events are projected, in any order, and can be repeated: it leaves a document alone that shows
all of its aggregate's events. A document that shows fewer is brought up to date: the processes of a rebuild hear of the
new generation one after the other, so one of them may have written an event there whose successor another has not.
"""

import asyncio
import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from shared.frame.read_side.container import Container, replaced
from shared.frame.read_side.partitions import Fold, History, Partitions
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import Document, point_read

BATCH_DOCUMENTS, BATCH_BYTES = 90, 1_500_000
"""Limits of one batch; Cosmos DB takes 100 operations and 2 MB."""

_RACES = frozenset({404, 409, 412})


type _Operation = tuple[str, tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Member[Event]:
    """An aggregate and its documents."""

    history: History[Event]
    documents: Sequence[dict[str, Any]]


async def fill_partition[Event](
    container: Container, fold: Fold[Event], partitions: Partitions[Event], projection: Projection[Event]
) -> tuple[int, int, int]:
    """Write missing documents, and let existing ones catch up.

    Returns:
        How many documents must be there, how many of them were missing and were written, and their events.
    """
    partition_key = fold.partition_key
    ids = partitions.shared_ids(partition_key)
    shared = {} if fold.begins else await _shared(container, partitions, partition_key)
    seen, written, events = len(ids) if fold.begins else 0, 0, 0
    for chunk in _chunks(fold) if fold.histories else [[]]:
        left: Sequence[_Member[Event]] = chunk
        seen += sum(len(member.documents) for member in chunk)
        while operations := _operations(fold, left, shared):
            try:
                results = await _sent(container, operations, partition_key, alone=not ids)
            except ResourceNotFoundError:  # the container itself is missing, not a document
                raise
            except HttpResponseError as error:
                if error.status_code not in _RACES:
                    raise
                # an event came first: a document exists already, or a shared one has changed
                await _catch_up(container, fold, projection, left)
                shared = await _shared(container, partitions, partition_key)
                left = await _missing(container, fold, partitions, left)
            else:
                written += sum(verb == "create" for verb, _, _ in operations)
                events += sum(len(member.history) for member in left)
                shared |= {document["id"]: document for document in results if document.get("id") in ids}
                left = []
    return seen, written, events


def _operations[Event](
    fold: Fold[Event], left: Sequence[_Member[Event]], shared: Mapping[str, Document]
) -> Sequence[_Operation]:
    operations: list[_Operation] = [("create", (document,), {}) for member in left for document in member.documents]
    fresh = fold.shared([member.history for member in left], copy.deepcopy(dict(shared)))  # which it may change
    for id_, document in fresh.items():
        before = shared.get(id_)
        if before is None:
            operations.append(("create", (document,), {}))
        elif document != {name: value for name, value in before.items() if not name.startswith("_")}:
            operations.append(("replace", (id_, document), {"if_match_etag": before["_etag"]}))
    return operations


async def _sent(
    container: Container, operations: Sequence[_Operation], partition_key: str, *, alone: bool
) -> Sequence[Document]:
    """Carry out all operations or none, and give the documents as stored; `alone`: the partition shares no document."""
    match operations:
        case [("create", (document,), _)] if alone:
            await container.create_item(document, no_response=True)
            return []
        case _:
            results = await container.execute_item_batch(list(operations), partition_key)
            return [result.get("resourceBody", {}) for result in results]


async def _shared(container: Container, partitions: Partitions[Any], partition_key: str) -> dict[str, Document]:
    ids = partitions.shared_ids(partition_key)
    found = [await point_read(container, id_, partition_key) for id_ in ids]
    return {document["id"]: partitions.shapes_of(document).read(document) for document in found if document is not None}


async def _catch_up[Event](
    container: Container, fold: Fold[Event], projection: Projection[Event], chunk: Sequence[_Member[Event]]
) -> None:
    """Apply the events that existing documents lack, one aggregate after the other: they may share a document."""
    gates = [fold.gate(member.history) for member in chunk]
    found = await asyncio.gather(*(point_read(container, gate, fold.partition_key) for gate in gates))
    for member, gate, document in zip(chunk, gates, found, strict=True):
        last = member.history[-1].envelope
        if document is not None and document["version"] < last.version:
            await projection.catch_up(container, last.aggregate_id, gate, fold.partition_key, last.version)


async def _missing[Event](
    container: Container, fold: Fold[Event], partitions: Partitions[Event], chunk: Sequence[_Member[Event]]
) -> Sequence[_Member[Event]]:
    """Give the members with missing documents, and refresh existing documents, which may show outdated values."""

    async def missing(member: _Member[Event]) -> _Member[Event]:
        ids = [document["id"] for document in member.documents]
        there = await asyncio.gather(*(_refreshed(container, fold, partitions, id_) for id_ in ids))
        left = [document for document, is_there in zip(member.documents, there, strict=True) if not is_there]
        return _Member(member.history, left)

    return [member for member in await asyncio.gather(*map(missing, chunk)) if member.documents]


async def _refreshed[Event](
    container: Container, fold: Fold[Event], partitions: Partitions[Event], document_id: str
) -> bool:
    """Refresh a document, and tell whether it is there."""
    while (before := await point_read(container, document_id, fold.partition_key)) is not None:
        document = copy.deepcopy(dict(partitions.shapes_of(before).read(before)))
        if not fold.refresh(document):
            return True
        counted = document.get(partitions.counter, 0) + 1
        if await replaced(container, {**document, partitions.counter: counted}, before):
            return True
    return False


def _chunks[Event](fold: Fold[Event]) -> Iterator[list[_Member[Event]]]:
    chunk: list[_Member[Event]] = []
    count = size = 0
    for history in fold.histories:
        documents = list(fold.own(history).values())
        its_size = sum(len(json.dumps(document)) for document in documents)
        if chunk and (count + len(documents) > BATCH_DOCUMENTS or size + its_size > BATCH_BYTES):
            yield chunk
            chunk, count, size = [], 0, 0
        chunk.append(_Member(history, documents))
        count, size = count + len(documents), size + its_size
    if chunk:
        yield chunk
