"""What the system relies on from Service Bus, tried against the laptop's engine, the official emulator or Azure.

`CONFORMANCE_SERVICEBUS` holds the connection string of a namespace that has the entities of config.json; without it
the engine is started, one for each worker. A test leaves nothing behind, so that it can run on a namespace that lives
on; but tests share the entities, so there they must run one after the other.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from azure.servicebus.aio import ServiceBusClient

GIVEN = os.environ.get("CONFORMANCE_SERVICEBUS")

NEED_ENTITIES_OF_THEIR_OWN = {"test_dotnet.py", "test_javascript.py", "test_crowd.py"}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tables of the other clients on a given namespace; a `collect_ignore` here would hide that above."""
    return True if GIVEN and collection_path.name in NEED_ENTITIES_OF_THEIR_OWN else None


@pytest.fixture(scope="session")
def servicebus_engine_config() -> Path:
    return Path(__file__).with_name("config.json")


@pytest.fixture(scope="session")
def connection_string(request: pytest.FixtureRequest) -> str:
    if GIVEN:
        return GIVEN
    return str(request.getfixturevalue("servicebus_engine").connection_string)


@pytest.fixture
async def client(connection_string: str) -> AsyncIterator[ServiceBusClient]:
    """A client that does not retry: a test wants to see the first answer."""
    async with ServiceBusClient.from_connection_string(connection_string, retry_total=0) as opened:
        yield opened


@pytest.fixture
def unique() -> str:
    """An id that no other test and no earlier run has used."""
    return str(uuid4())
