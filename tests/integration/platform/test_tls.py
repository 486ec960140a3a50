"""The certificates of authorities are read once for a client, not for each of its connections."""

import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.platform.dead_letters import DeadLetters
from shared.platform.settings import Settings
from shared.platform.topics import ServiceBusTopic
from tests.integration.platform.test_topics import NAME, events, topic_at
from tests.support.servicebus import running_servicebus


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with running_servicebus() as connection:
        yield Settings(sql="", cosmos="", service_bus=connection)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was read, each time that certificates were."""
    read: list[Any] = []
    load = ssl.SSLContext.load_verify_locations

    def noting(self: ssl.SSLContext, *arguments: Any, **options: Any) -> None:
        read.append(arguments or options)
        load(self, *arguments, **options)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", noting)
    return read


async def test_looking_at_dead_letters_again_reads_none(settings: Settings, readings: list[Any]) -> None:
    dead_letters = DeadLetters(settings)
    for _ in range(3):
        async with dead_letters.of(NAME, "order-views") as queue:
            await queue.peek(0, 1)
    await dead_letters.close()
    assert len(readings) == 1


def test_another_connection_of_a_topic_reads_none(settings: Settings, readings: list[Any]) -> None:
    at_once = threading.Barrier(3)

    def send(topic: ServiceBusTopic) -> None:
        at_once.wait()
        topic.send(events(20))

    with topic_at(settings.service_bus) as topic, ThreadPoolExecutor(3) as threads:
        list(threads.map(send, [topic] * 3))
        assert topic._idle.qsize() > 1
    assert len(readings) == 1
