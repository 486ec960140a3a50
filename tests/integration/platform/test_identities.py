"""Each client acts as the identity of its side, and goes on when that identity's token has run out.

The credentials are azure-identity's and the clients are the SDKs', over the wire: what gives out tokens answers as it
does beside an app in Azure, and the engines stand behind TLS, without which a client shows nobody a token.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from azure.core.exceptions import AzureError
from azure.servicebus._pyamqp import _connection as amqp
from azure.servicebus._pyamqp import cbs
from azure.servicebus._pyamqp.aio import _connection_async as async_amqp

from shared.frame.messaging.dead_letters import DeadLetters
from shared.frame.messaging.topics import ServiceBusTopic
from shared.frame.platform import identity
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.read_your_writes import point_read
from shared.frame.sql.engines import (
    CONNECTION_LIFE,
    SQL_COPT_SS_ACCESS_TOKEN,
    context_engine,
    query_engine,
)
from shared.frame.write_side.relay import TopicUnreachable
from shared.kernel.refusals import Unavailable
from tests.support.envelopes import an_envelope
from tests.support.identities import (
    TOKEN_LIFE,
    Certificate,
    Fault,
    IdentityEndpoint,
    cosmos_over_tls,
    hang_up,
    make_certificate,
    product_signs_in,
    show_a_page,
    throttle,
    tls_in_front_of,
)
from tests.support.odbc import needs_unixodbc
from tests.support.servicebus import running_engine

COMMANDS, VIEWS = "commands-client-id", "views-client-id"
ENVIRONMENT = {
    "SqlConnection": "mssql+pyodbc://sql.test/tandem?driver=none",
    "CosmosConnection__accountEndpoint": "https://cosmos.test",
    "CosmosConnection__clientId": VIEWS,
    "ServiceBusConnection__fullyQualifiedNamespace": "localhost",
    "AZURE_CLIENT_ID": COMMANDS,
}


@pytest.fixture
def endpoint() -> Iterator[IdentityEndpoint]:
    with product_signs_in(COMMANDS, VIEWS) as endpoint:
        yield endpoint


type Clock = Callable[[float], None]


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Lets seconds pass, for whoever looks at a clock."""
    passed, real = 0.0, time.time

    def pass_time(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(time, "time", lambda: real() + passed)
    monkeypatch.setattr(cbs, "utc_now", lambda: datetime.fromtimestamp(time.time(), UTC))
    return pass_time


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def service_bus(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[bytearray]:
    """Runs a Service Bus that speaks TLS alone, where its clients look for one; gives what they have sent."""
    monkeypatch.setattr("certifi.where", lambda: str(certificate.certificate))
    seen = bytearray()
    with running_engine() as engine:
        async with tls_in_front_of(engine.port, certificate, seen) as port:
            monkeypatch.setattr(amqp, "SECURE_PORT", port)
            monkeypatch.setattr(async_amqp, "SECURE_PORT", port)
            yield seen


LATER = pytest.mark.parametrize("later", [TOKEN_LIFE - 200, 2 * TOKEN_LIFE], ids=["runs out soon", "has run out"])


@LATER
async def test_read_models_are_reached_as_the_query_side_whose_token_is_renewed(
    later: float,
    endpoint: IdentityEndpoint,
    certificate: Certificate,
    pass_time: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trusting = ssl.create_default_context(cafile=certificate.certificate)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    seen: list[str] = []
    async with cosmos_over_tls(certificate, seen) as port:
        address = f"https://localhost:{port}/"
        models = CosmosDatabase(
            Settings.from_environment({**ENVIRONMENT, "CosmosConnection__accountEndpoint": address})
        )
        for token in ("token-1", "token-2"):
            for _ in range(2):
                assert await point_read(models.container("orders"), "nobody", "nobody") is None
                assert seen[-1] == f"type=aad&ver=1.0&sig={token}"
            pass_time(later)
        await models.close()
        await identity.async_credential(VIEWS).close()
    assert endpoint.asked == [(VIEWS, "https://localhost")] * 2


@LATER
async def test_topics_are_reached_as_the_command_side_whose_token_is_renewed(
    later: float, endpoint: IdentityEndpoint, service_bus: bytearray, pass_time: Clock
) -> None:
    topic = ServiceBusTopic(Settings.from_environment(ENVIRONMENT), "order-events", "ordering")
    for tokens in (1, 0), (1, 1):
        for _ in range(2):
            await asyncio.to_thread(topic.send, [an_envelope("OrderSubmittedV1", uuid4())])
            assert (service_bus.count(b"token-1"), service_bus.count(b"token-2")) == tokens
        pass_time(later)
    await asyncio.to_thread(topic._client.close)
    assert endpoint.asked == [(COMMANDS, "https://servicebus.azure.net/")] * 2


@pytest.mark.parametrize("given", [(), ("https://database.windows.net/.default",)], ids=["no token", "another token"])
@pytest.mark.parametrize("fault", [hang_up, throttle, show_a_page])
@pytest.mark.usefixtures("service_bus")
async def test_a_topic_for_which_nobody_gives_a_token_cannot_be_reached(
    fault: Fault, given: Sequence[str], endpoint: IdentityEndpoint, pass_time: Clock
) -> None:
    """An event that cannot be sent would be set back, and told as one that is wrong itself."""
    for scope in given:
        identity.credential(COMMANDS).get_token(scope)
    topic = ServiceBusTopic(Settings.from_environment(ENVIRONMENT), "order-events", "ordering")
    endpoint.fault = fault
    with pytest.raises(TopicUnreachable):
        await asyncio.to_thread(topic.send, [an_envelope("OrderSubmittedV1", uuid4())])
    endpoint.fault = None
    pass_time(61)  # for a minute MSAL repeats what a source answers that is too busy, or not there
    await asyncio.to_thread(topic.send, [an_envelope("OrderSubmittedV1", uuid4())])
    await asyncio.to_thread(topic._client.close)


@pytest.mark.usefixtures("service_bus")
async def test_dead_letters_for_which_nobody_gives_a_token_are_told_as_out_of_reach(endpoint: IdentityEndpoint) -> None:
    endpoint.fault = hang_up
    letters = DeadLetters(Settings.from_environment(ENVIRONMENT))
    with pytest.raises(Unavailable, match="does not answer"):
        async with letters.of("order-events", "order-views"):
            pass
    await letters.close()
    await identity.async_credential(VIEWS).close()


async def test_a_query_does_not_wait_for_a_source_of_tokens_that_is_silent(endpoint: IdentityEndpoint) -> None:
    over = threading.Event()

    def stay_silent(_asking: BaseHTTPRequestHandler) -> None:
        over.wait()

    endpoint.fault = stay_silent
    credential = identity.async_credential(VIEWS)
    try:
        async with asyncio.timeout(60):  # by itself azure-identity waits for five minutes
            with pytest.raises(AzureError):
                await credential.get_token("https://cosmos.azure.com/.default")
    finally:
        over.set()
        await credential.close()


class Connection:
    """A connection to Azure SQL as far as pooling goes: there is none here."""

    def rollback(self) -> None:
        """Do nothing, as commit and close do."""

    def add_output_converter(self, *_: object) -> None:
        """Do nothing."""

    commit = close = rollback


@needs_unixodbc
@pytest.mark.parametrize(("make", "client_id"), [(context_engine, COMMANDS), (query_engine, VIEWS)])
def test_the_database_is_entered_as_its_side_and_pooled_connections_outlive_no_token(
    make: Callable[[Settings, str], sa.Engine], client_id: str, endpoint: IdentityEndpoint, pass_time: Clock
) -> None:
    engine = make(Settings.from_environment(ENVIRONMENT), "ordering")
    engine.dialect.initialize = lambda _connection: None  # type: ignore[assignment]  # no server to ask
    signed_in: list[str] = []
    connections: list[Connection] = []

    @sa.event.listens_for(engine, "do_connect")
    def _connect(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> Connection:
        signed_in.append(parameters["attrs_before"][SQL_COPT_SS_ACCESS_TOKEN][4:].decode("utf-16-le"))
        connections.append(Connection())
        return connections[-1]

    def work() -> None:
        with engine.connect():
            pass

    work()
    pass_time(CONNECTION_LIFE - 60)
    work()
    assert signed_in == ["token-1"], "it is kept"
    pass_time(120)
    work()
    assert signed_in == ["token-1"] * 2, "it is replaced while its token is good"
    pass_time(CONNECTION_LIFE + 1)
    work()
    assert signed_in == ["token-1", "token-1", "token-2"], "a new one asks for a token again"
    assert endpoint.asked == [(client_id, "https://database.windows.net")] * 2
