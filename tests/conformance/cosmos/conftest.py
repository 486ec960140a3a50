"""What the system relies on from Cosmos DB, tried against the laptop's engine, the official emulator or Azure.

`CONFORMANCE_COSMOS` holds the connection string of an account; without it the engine is started. The tests make a
database of their own there and remove it at the end. Each test has a partition of its own: they share containers.
"""

import os
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from azure.cosmos import CosmosClient as SyncCosmosClient
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient, DatabaseProxy

PLAIN, EXPIRING = "plain", "expiring"
COMPOSITE = [[{"path": "/city", "order": "ascending"}, {"path": "/age", "order": "descending"}]]
INDEXING = {
    "indexingMode": "consistent",
    "includedPaths": [{"path": "/*"}, {"path": "/rank/?"}, {"path": "/hidden/but/?"}],
    "excludedPaths": [{"path": '/"_etag"/?'}, {"path": "/hidden/*"}],
    "compositeIndexes": COMPOSITE,
}


@pytest.fixture(scope="session")
def connection(request: pytest.FixtureRequest) -> str:
    given = os.environ.get("CONFORMANCE_COSMOS")
    if given:
        return given
    return str(request.getfixturevalue("cosmos_engine").connection_string)


@pytest.fixture(scope="session")
def database_name(connection: str) -> Iterator[str]:
    """A database with the containers `plain` and `expiring`, both partitioned by /pk."""
    name = f"conformance-{uuid4()}"
    with SyncCosmosClient.from_connection_string(connection) as client:
        database = client.create_database(name)
        database.create_container(PLAIN, PartitionKey("/pk"), indexing_policy=INDEXING)
        database.create_container(EXPIRING, PartitionKey("/pk"), default_ttl=1)
        yield name
        client.delete_database(name)


@pytest.fixture
async def client(connection: str) -> AsyncIterator[CosmosClient]:
    async with CosmosClient.from_connection_string(connection) as opened:
        yield opened


@pytest.fixture
def database(client: CosmosClient, database_name: str) -> DatabaseProxy:
    return client.get_database_client(database_name)


@pytest.fixture
def container(database: DatabaseProxy) -> ContainerProxy:
    return database.get_container_client(PLAIN)


@pytest.fixture
def expiring(database: DatabaseProxy) -> ContainerProxy:
    return database.get_container_client(EXPIRING)


@pytest.fixture
def pk() -> str:
    """A partition key that no other test uses."""
    return str(uuid4())
