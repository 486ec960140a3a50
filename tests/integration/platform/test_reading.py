"""Waiting for a version: as long as it is worth it, and never so many that nobody else gets in."""

import asyncio
from uuid import uuid4

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.ordering.views.customer_summary import new_summary
from shared.platform import reading
from shared.platform.http.problems import Problem
from shared.platform.reading import WAITING_AT_ONCE, read_at_least


async def test_a_version_that_arrives_while_waiting_is_read(orders: ContainerProxy) -> None:
    customer = uuid4()
    waiting = asyncio.create_task(read_at_least(orders, "summary", str(customer), 1, 30, counter="customerVersion"))
    await orders.create_item(new_summary(customer, "Ada", 1))
    document = await waiting
    assert document is not None
    assert document["customerName"] == "Ada"


async def test_when_too_many_wait_the_next_is_told_at_once_and_reads_still_work(orders: ContainerProxy) -> None:
    customer = uuid4()
    await orders.create_item(new_summary(customer, "Ada", 1))
    key = str(customer)
    waiting = [asyncio.create_task(read_at_least(orders, "nothing", key, 1, 30)) for _ in range(WAITING_AT_ONCE)]
    try:
        while not reading._places.locked():  # noqa: ASYNC110  # a semaphore tells nobody that it is empty
            await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await read_at_least(orders, "nothing", key, 1, 30)
        assert refused.value.code == "read-model-behind"
        assert refused.value.headers["Retry-After"]
        assert not any(task.done() for task in waiting)
        assert await read_at_least(orders, "summary", key, 1, 30, counter="customerVersion") is not None
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert not reading._places.locked(), "whoever stops waiting gives the place back"
