"""Service Bus over TLS: only whom certifi's authorities vouch for is trusted, and they are read once for a client."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus._pyamqp import _connection as amqp
from azure.servicebus._pyamqp.aio import _connection_async as asynchronous_amqp

from shared.frame.messaging.dead_letters import DeadLetters
from shared.frame.messaging.topics import ServiceBusTopic
from shared.frame.platform.settings import Settings
from shared.frame.write_side.relay import TopicUnreachable
from shared.kernel.refusals import Unavailable
from tests.integration.platform.test_topics import NAME, events
from tests.support.identities import Certificate, make_certificate, tls_in_front_of
from tests.support.servicebus import running_engine

SETTINGS = Settings(sql="", cosmos="", service_bus="Endpoint=sb://localhost;SharedAccessKeyName=x;SharedAccessKey=eA==")


type OverTls = Callable[[Certificate, Certificate], AbstractAsyncContextManager[None]]
"""Runs Service Bus, which shows the first certificate to clients that trust the second."""


@pytest.fixture
def over_tls(monkeypatch: pytest.MonkeyPatch) -> OverTls:
    @asynccontextmanager
    async def running(shown: Certificate, trusted: Certificate) -> AsyncIterator[None]:
        monkeypatch.setattr("certifi.where", lambda: str(trusted.certificate))
        with running_engine() as engine:
            async with tls_in_front_of(engine.port, shown, bytearray()) as port:
                for client in amqp, asynchronous_amqp:
                    monkeypatch.setattr(client, "SECURE_PORT", port)
                yield

    return running


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


async def look(dead_letters: DeadLetters) -> None:
    """Look at a dead-letter queue, on a connection of its own."""
    async with dead_letters.of(NAME, "order-views") as queue:
        assert [letter async for letter in queue.look(0, 1)] == []


async def test_looking_at_dead_letters_again_reads_no_certificates(
    over_tls: OverTls, readings: list[Any], tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    async with over_tls(certificate, certificate):
        dead_letters = DeadLetters(SETTINGS)
        for _ in range(3):
            await look(dead_letters)
        await dead_letters.close()
    assert len(readings) == 1


async def test_another_connection_of_a_topic_reads_no_certificates(
    over_tls: OverTls, readings: list[Any], tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    async with over_tls(certificate, certificate):
        topic = ServiceBusTopic(SETTINGS, NAME, "ordering")
        for sender in topic._sender(), topic._sender():
            topic._idle.put(sender)
        for _ in range(2):  # the idle ones take turns
            await asyncio.to_thread(topic.send, events(1))
        await asyncio.to_thread(topic._client.close)
    assert len(readings) == 1


@pytest.mark.parametrize("wrong", ["its authority", "its name"])
async def test_who_shows_a_certificate_that_is_not_his_gets_no_event_and_gives_none(
    over_tls: OverTls, tmp_path: Path, wrong: str
) -> None:
    shown = make_certificate(tmp_path, "localhost" if wrong == "its authority" else "elsewhere.example")
    other = tmp_path / "other"
    other.mkdir()
    async with over_tls(shown, make_certificate(other) if wrong == "its authority" else shown):
        topic, dead_letters = ServiceBusTopic(SETTINGS, NAME, "ordering"), DeadLetters(SETTINGS)
        try:
            with pytest.raises(TopicUnreachable, match="certificate verify failed"):
                await asyncio.to_thread(topic.send, events(1))
            with pytest.raises(Unavailable, match="does not answer"):
                await look(dead_letters)
        finally:  # a connection that was made after all would be waited for
            await asyncio.to_thread(topic._client.close)
            await dead_letters.close()
