"""Read your writes: a query waits for the version that a command gave, instead of the caller sleeping and hoping."""

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from azure.core.exceptions import ResourceNotFoundError

from shared.messaging.container import Container
from shared.platform.http.problems import RETRY_AFTER, Problem
from shared.platform.input import After

FIRST_LOOK, LONGEST_LOOK = 0.01, 0.25
"""Seconds between looks; each is twice the one before. A look is one point read, the cheapest request there is."""

PATIENCE = 5.0
"""Seconds that a query gives the store for one answer. Cosmos DB's SDK goes on for minutes, which is right for
projections; somebody who waits for an answer is rather told to come back."""

WAITING_AT_ONCE = 64
"""Queries of one process that may wait: half of what host.json lets in at once, so that they never keep others out."""

_places = asyncio.Semaphore(WAITING_AT_ONCE)

type Document = Mapping[str, Any]


async def point_read(container: Container, document_id: str, partition_key: str) -> Document | None:
    """Read one document by id and partition key; None if there is none, TimeoutError if the store takes too long."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await container.read_item(document_id, partition_key)
    except ResourceNotFoundError:
        return None


async def read_at_least(
    container: Container,
    document_id: str,
    partition_key: str,
    version: int | None,
    wait: int,
    counter: str = "version",
) -> Document | None:
    """Read a document once it has reached a version; None if there is none and no version was asked for.

    Args:
        container: where it is.
        document_id: its id.
        partition_key: its partition.
        version: what to wait for; None takes what is there.
        wait: seconds to wait at most.
        counter: the property that counts the versions.

    Raises:
        Problem: it has not got there in time, or too many wait already (503 `read-model-behind`).
    """
    deadline = time.monotonic() + wait
    document = await point_read(container, document_id, partition_key)
    if version is None or _version(document, counter) >= version:
        return document
    if _places.locked():
        raise _behind(_version(document, counter), version)
    async with _places:
        pause = FIRST_LOOK
        while (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, LONGEST_LOOK)
            document = await point_read(container, document_id, partition_key)
            if _version(document, counter) >= version:
                return document
    raise _behind(_version(document, counter), version)


def _version(document: Document | None, counter: str) -> int:
    return int(document[counter]) if document else 0


def _behind(held: int, version: int) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "read-model-behind",
        f"The read model is at version {held}; version {version} has not arrived yet.",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


async def wait_for_order(container: Container, partition_key: str, after: After | None, wait: int) -> None:
    """Let lists and summaries wait for an order that they include; raises as read_at_least."""
    if after is not None:
        await read_at_least(container, str(after.order_id), partition_key, after.version, wait)
