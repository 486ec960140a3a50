"""Queries that wait for a version, and documents of which a test says when they have it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from azure.core.exceptions import ResourceNotFoundError

from shared.frame.read_side import read_your_writes
from shared.frame.read_side.read_your_writes import Wait, read_at_least
from shared.kernel.refusals import TooSoon, Unavailable


class Documents:
    """A container that counts the looks at each document, and has of each what a test says."""

    id = "documents"

    def __init__(self) -> None:
        self.looks = Counter[str]()
        self.versions: dict[str, int] = {}

    async def read_item(self, item: str, partition_key: str) -> dict[str, Any]:
        """Read what the test has put there."""
        del partition_key
        self.looks[item] += 1
        await asyncio.sleep(0)
        if item not in self.versions:
            raise ResourceNotFoundError
        return {"version": self.versions[item]}


def waiting(documents: Documents, name: str, version: int, wait: Wait) -> asyncio.Task[Any]:
    return asyncio.create_task(read_at_least(cast("Any", documents), name, "p", version, wait))


@asynccontextmanager
async def gone_afterwards(*tasks: asyncio.Task[Any]) -> AsyncIterator[None]:
    """End what still waits, and see that nothing is left of it."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not read_your_writes._watches, "nobody looks when nobody waits"
        assert not read_your_writes._waiting, "whoever stops waiting gives the place back"


async def refused(task: asyncio.Task[Any], *, too_soon: bool = False) -> Unavailable:
    """Give the refusal of a query; only one that asks for what was never written is why itself."""
    with pytest.raises(Unavailable) as caught:
        await task
    assert (caught.value.code, caught.value.retry_after) == ("read-model-behind", 1)
    assert isinstance(caught.value, TooSoon) == too_soon
    return caught.value


async def until_all_wait(count: int) -> None:
    async with asyncio.timeout(10):
        while read_your_writes._waiting.total() < count:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0)


async def until_looked_at(documents: Documents, times: int) -> None:
    while documents.looks["d"] < times:  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(0.001)


@asynccontextmanager
async def gone_afterwards_but(still: list[asyncio.Task[Any]], *tasks: asyncio.Task[Any]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert read_your_writes._waiting.total() == sum(not task.done() for task in still)
