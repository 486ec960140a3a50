"""A query that waits asks the log whether its version was written at all: seldom, once for all, never in the way."""

import asyncio
import threading
import time
from typing import Any
from uuid import uuid4

import pytest

from shared.frame.platform.callers import Requester
from shared.frame.platform.threads import LOOKING
from shared.frame.read_side import read_your_writes
from shared.frame.read_side.read_your_writes import FAR, wait_for
from tests.support.waiting import (
    Documents,
    gone_afterwards,
    refused,
    until_all_wait,
    waiting,
)

LOOKING_AT_ONCE = LOOKING._executor._max_workers


@pytest.mark.parametrize("held", [0, 3])
async def test_a_version_that_the_log_is_far_from_is_told_at_once_and_the_log_is_asked_once(held: int) -> None:
    documents, asked = Documents(), list[tuple[str, str]]()
    if held:
        documents.versions["d"] = held

    def logged(document_id: str, partition_key: str) -> int:
        asked.append((document_id, partition_key))
        time.sleep(0.05)  # so long that all have come
        return 5

    tasks = [waiting(documents, "d", 999_999, wait_for(30, Requester(uuid4()), logged)) for _ in range(6)]
    async with gone_afterwards(*tasks), asyncio.timeout(5):
        for task in tasks:
            assert "log is at version 5" in (await refused(task, too_soon=True)).detail
    assert asked == [("d", "p")]


async def test_a_version_that_the_log_has_is_waited_for_however_far_the_document_is_behind() -> None:
    documents = Documents()
    documents.versions["d"] = 3
    task = waiting(documents, "d", 10_000, wait_for(30, Requester(uuid4()), lambda *_: 10_000))
    async with gone_afterwards(task):
        await asyncio.sleep(0.1)
        assert not task.done()
        documents.versions["d"] = 10_000
        assert await task == {"version": 10_000}


@pytest.mark.parametrize("missing", [1, FAR + 1])
async def test_a_version_that_the_log_has_and_the_document_lacks_is_not_asked_for_too_soon(missing: int) -> None:
    """The projection is late, perhaps for everybody."""
    documents = Documents()
    documents.versions["d"] = 3
    late = waiting(documents, "d", 3 + missing, wait_for(0.1, Requester(uuid4()), lambda *_: 3 + missing))
    async with gone_afterwards(late):
        await refused(late)


async def test_a_version_that_may_be_written_soon_is_waited_for_without_asking_the_log() -> None:
    documents = Documents()

    def nobody_asks(_document_id: str, _partition_key: str) -> int:
        raise AssertionError

    task = waiting(documents, "d", FAR, wait_for(30, Requester(uuid4()), nobody_asks))
    async with gone_afterwards(task):
        await asyncio.sleep(0.05)
        documents.versions["d"] = FAR
        assert await task == {"version": FAR}


async def test_a_version_far_beyond_the_document_that_the_log_may_have_soon_is_waited_for() -> None:
    documents = Documents()
    task = waiting(documents, "d", 2 * FAR, wait_for(30, Requester(uuid4()), lambda *_: FAR))
    async with gone_afterwards(task):
        await until_all_wait(1)
        documents.versions["d"] = 2 * FAR
        assert await task == {"version": 2 * FAR}


async def test_a_log_that_does_not_answer_takes_no_longer_than_the_wait() -> None:
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hangs(_document_id: str, _partition_key: str) -> int:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        return 0

    task = waiting(Documents(), "d", 999_999, wait_for(0.2, Requester(uuid4()), hangs))
    async with gone_afterwards(task), asyncio.timeout(5):
        await refused(task)
        release.set()


async def test_a_log_that_does_not_answer_at_the_end_of_a_wait_leaves_the_refusal_as_it_is() -> None:
    def fails(_document_id: str, _partition_key: str) -> int:
        raise ConnectionError

    task = waiting(Documents(), "d", 1, wait_for(0.05, Requester(uuid4()), fails))
    async with gone_afterwards(task):
        await refused(task)


class HangingLog:
    """A log that does not answer until a test says so, and notes the documents that it is asked about."""

    def __init__(self) -> None:
        self.asked = list[str]()
        self._answering = threading.Event()

    def __call__(self, document_id: str, _partition_key: str) -> int:
        """Give the version, at last."""
        self.asked.append(document_id)
        self._answering.wait(30)
        return 0

    async def answers_all(self) -> None:
        """Answer, and see that all questions are dealt with that stand before another one."""
        self._answering.set()
        async with asyncio.timeout(30):
            await asyncio.gather(*(LOOKING.run(time.sleep, 0) for _ in range(LOOKING_AT_ONCE)))


async def test_a_question_to_a_log_that_hangs_does_not_begin_once_nobody_waits_for_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(read_your_writes, "ASKED_AGAIN", 0.1)
    log, documents = HangingLog(), Documents()
    tasks = [waiting(documents, f"{number}", 1, wait_for(0.05, Requester(uuid4()), log)) for number in range(10)]
    async with gone_afterwards(*tasks):
        for task in tasks:
            await refused(task)
        async with asyncio.timeout(10):
            while asyncio.all_tasks() != {asyncio.current_task()}:  # noqa: ASYNC110  # nobody tells when all have ended
                await asyncio.sleep(0)
        await log.answers_all()
    assert len(log.asked) <= LOOKING_AT_ONCE, "only those that had a thread"


async def test_a_log_that_hangs_is_asked_once_about_a_document_however_many_wait_for_it_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(read_your_writes, "ASKED_AGAIN", 0.1)
    log, documents = HangingLog(), Documents()
    patient = waiting(documents, "d", 1, wait_for(30, Requester(uuid4())))
    async with gone_afterwards(patient):
        for _ in range(3):
            await refused(waiting(documents, "d", 1, wait_for(0.05, Requester(uuid4()), log)))
        await log.answers_all()
    assert log.asked == ["d"]


async def test_a_store_that_failed_for_a_moment_is_read_again_for_whoever_was_asking_the_log_meanwhile() -> None:
    class FailingOnce(Documents):
        failing, failed = False, asyncio.Event()

        async def read_item(self, item: str, partition_key: str) -> dict[str, Any]:
            if self.failing:
                self.failed.set()
                raise ConnectionError
            return await super().read_item(item, partition_key)

    documents, answered = FailingOnce(), threading.Event()
    documents.versions["d"] = 1

    def logged(_document_id: str, _partition_key: str) -> int:
        answered.wait(10)
        return 10_000

    task = waiting(documents, "d", 10_000, wait_for(30, Requester(uuid4()), logged))
    async with gone_afterwards(task), asyncio.timeout(10):
        await until_all_wait(1)
        documents.failing = True
        await documents.failed.wait()
        documents.failing = False
        documents.versions["d"] = 10_000
        await asyncio.sleep(0)
        answered.set()
        assert await task == {"version": 10_000}
