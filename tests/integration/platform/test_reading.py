"""Waiting for a version: as long as it is worth it, with one deadline, few requests, and room for others."""

import asyncio
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.frame.platform.callers import Requester
from shared.frame.platform.input import After
from shared.frame.read_side import read_your_writes
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import NO_WAIT, PAUSES, WAITING_AT_ONCE, read_at_least, wait_for
from shared.kernel.refusals import Unavailable
from shared.ordering.events import OrderStatus
from shared.ordering.views.customer_summary import ReadSummary, new_summary, read_summary
from tests.simulation.scheduler import Scheduler
from tests.support.waiting import (
    Documents,
    gone_afterwards,
    gone_afterwards_but,
    refused,
    until_all_wait,
    until_looked_at,
    waiting,
)


async def test_a_version_that_arrives_while_waiting_is_read(orders: ContainerProxy) -> None:
    customer = uuid4()
    coming = asyncio.create_task(
        read_at_least(orders, "summary", str(customer), 1, wait_for(30), counter="customerVersion")
    )
    async with gone_afterwards(coming):
        await until_all_wait(1)
        await orders.create_item(new_summary(customer, "Ada", 1))
        document = await coming
    assert document is not None
    assert document["customerName"] == "Ada"


async def test_who_waits_for_one_document_shares_its_looks() -> None:
    documents, callers = Documents(), [Requester(uuid4()) for _ in range(5)]
    documents.versions["d"] = 1
    tasks = [waiting(documents, "d", 2, wait_for(30, caller)) for caller in callers for _ in range(2)]
    async with gone_afterwards(*tasks):
        await until_all_wait(len(tasks))
        before = documents.looks["d"]
        assert before <= 2 * len(tasks)
        await asyncio.sleep(1)
        assert documents.looks["d"] - before <= 40  # together eight; each alone, they would be eighty
        documents.versions["d"] = 2
        assert await asyncio.gather(*tasks) == [{"version": 2}] * len(tasks)


def test_a_wait_looks_often_within_the_first_second_and_then_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look costs request units, and waits are long exactly when projections lag for want of those."""
    scheduler, looks = Scheduler(seed=1, fault_rate=0), list[float]()
    monkeypatch.setattr(read_your_writes, "time", SimpleNamespace(monotonic=scheduler.seconds))

    class Timed(Documents):
        async def read_item(self, item: str, partition_key: str) -> dict[str, Any]:
            looks.append(scheduler.seconds())
            return await super().read_item(item, partition_key)

    async def in_vain() -> None:
        await refused(waiting(Timed(), "d", 1, wait_for(30, Requester(uuid4()))))

    scheduler.work(in_vain())
    assert looks[:9] == pytest.approx([0, 0.01, 0.03, 0.07, 0.15, 0.31, 0.56, 0.81, 1.06], abs=0.001)
    assert [round(later - look) for look, later in pairwise(looks[8:])] == [1] * 29
    assert looks[-1] == pytest.approx(30, abs=0.001), "what came since the last look is seen"


def test_a_version_that_comes_after_the_last_look_of_a_wait_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = Scheduler(seed=1, fault_rate=0)
    monkeypatch.setattr(read_your_writes, "time", SimpleNamespace(monotonic=scheduler.seconds))

    class Coming(Documents):
        async def read_item(self, item: str, partition_key: str) -> dict[str, Any]:
            self.versions[item] = 2 if scheduler.seconds() > 1.5 else 1
            return await super().read_item(item, partition_key)

    async def in_time() -> None:
        assert await waiting(Coming(), "d", 2, wait_for(2, Requester(uuid4()))) == {"version": 2}

    scheduler.work(in_time())


async def test_whoever_comes_later_is_looked_for_as_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_your_writes, "LONGEST_PAUSE", 1_000.0)
    documents, all_looks = Documents(), 1 + len(PAUSES)
    first = waiting(documents, "d", 2, wait_for(30, Requester(uuid4())))
    async with gone_afterwards(first), asyncio.timeout(20):
        await until_looked_at(documents, all_looks)
        second = waiting(documents, "d", 2, wait_for(30, Requester(uuid4())))
        async with gone_afterwards(second, first):
            await until_looked_at(documents, 2 * all_looks)


async def test_a_caller_has_half_of_the_places_at_most_and_the_next_has_room() -> None:
    documents, greedy, others = Documents(), Requester(uuid4()), [Requester(uuid4()) for _ in range(4)]
    tasks = [waiting(documents, f"{n}", 2, wait_for(30, greedy)) for n in range(2 * WAITING_AT_ONCE)]
    async with gone_afterwards(*tasks):
        await until_all_wait(WAITING_AT_ONCE // 2)
        async with asyncio.timeout(10):
            while sum(task.done() for task in tasks) < len(tasks) - WAITING_AT_ONCE // 2:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0)
        await refused(next(task for task in tasks if task.done()), too_soon=True)
        for other in others:
            documents.versions.clear()
            theirs = [waiting(documents, "theirs", 1, wait_for(30, other)) for _ in range(WAITING_AT_ONCE)]
            async with gone_afterwards_but(tasks, *theirs):
                await asyncio.sleep(0.02)
                assert not all(task.done() for task in theirs), "there is room for the next caller"
                documents.versions["theirs"] = 1
                answers = await asyncio.gather(*theirs, return_exceptions=True)
                assert answers.count({"version": 1}) >= 1
        documents.versions["there"] = 7
        assert await waiting(documents, "there", 7, wait_for(30, greedy)) == {"version": 7}, "who need not wait may ask"


async def test_who_finds_no_place_because_of_others_does_not_ask_too_soon() -> None:
    documents = Documents()
    others = [waiting(documents, f"{n}", 2, wait_for(30, Requester(uuid4()))) for n in range(WAITING_AT_ONCE)]
    async with gone_afterwards(*others):
        await until_all_wait(WAITING_AT_ONCE)
        await refused(waiting(documents, "d", 2, wait_for(30, Requester(uuid4()))))


class Summaries(Documents):
    """A container whose documents have one id, each in a partition of its own, and say where they are from."""

    def __init__(self, id_: str) -> None:
        super().__init__()
        self.id = id_

    async def read_item(self, item: str, partition_key: str) -> dict[str, Any]:
        """Read it, as soon as the test has given it a version."""
        return {**await super().read_item(item, partition_key), "of": (self.id, partition_key)}


async def test_who_waits_for_documents_of_one_id_gets_that_of_their_own_partition_and_container() -> None:
    containers, wait = [Summaries("orders"), Summaries("orders-2")], wait_for(30, Requester(uuid4()))
    asked = [(container, partition_key) for container in containers for partition_key in ("ada", "bob")]
    tasks = [
        asyncio.create_task(read_at_least(cast("ContainerProxy", container), "summary", partition_key, 1, wait))
        for container, partition_key in asked
    ]
    async with gone_afterwards(*tasks):
        await until_all_wait(len(tasks))
        for container in containers:
            container.versions["summary"] = 1
        found = [document and document["of"] for document in await asyncio.gather(*tasks)]
        assert found == [(container.id, partition_key) for container, partition_key in asked]


async def test_a_request_has_one_deadline_for_all_that_it_waits_for(orders: ContainerProxy) -> None:
    customer, order = uuid4(), uuid4()
    await orders.create_item(new_summary(customer, "Ada", 1))

    async def order_comes_late() -> None:
        await asyncio.sleep(1.5)
        await orders.create_item(
            {"id": str(order), "customerId": str(customer), "version": 1, "status": OrderStatus.CREATED}
        )

    query = ReadSummary(customer_id=customer, after=After(order, 1), min_version=9)
    begin = time.monotonic()
    late = asyncio.create_task(order_comes_late())
    with pytest.raises(Unavailable):
        await read_summary(Served(orders, 1), query, wait_for(2))
    await late
    assert 2 <= time.monotonic() - begin < 3.4  # granted twice, it would be 3.5


async def test_a_store_that_fails_is_told_to_all_who_wait_and_is_asked_again() -> None:
    class Failing(Documents):
        async def read_item(self, item: str, partition_key: str) -> dict[str, Any]:
            found = await super().read_item(item, partition_key)
            if self.versions[item] == 1:
                return found
            raise ConnectionError

    documents = Failing()
    documents.versions["d"] = 1
    tasks = [waiting(documents, "d", 2, wait_for(30, caller)) for caller in (Requester(uuid4()), Requester(uuid4()))]
    async with gone_afterwards(*tasks):
        await until_all_wait(2)
        documents.versions["d"] = 2
        assert [type(error) for error in await asyncio.gather(*tasks, return_exceptions=True)] == [ConnectionError] * 2


async def test_who_grants_no_time_takes_no_place() -> None:
    documents = Documents()
    await refused(waiting(documents, "d", 1, NO_WAIT), too_soon=True)
    assert documents.looks == {"d": 1}
    assert UUID(int=0) not in read_your_writes._waiting
