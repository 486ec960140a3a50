"""Stores for the tests of this folder: SQLite files of each test's own, and one Cosmos engine for all of a process."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from cosmos_engine.running import Engine
from infra.local.containers import TOPOLOGY, create
from tests.support.shop import Shop, running_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """The write side, on databases of the test's own."""
    with running_shop(tmp_path) as shop:
        yield shop


@pytest.fixture(scope="session")
def read_models(cosmos_engine: Engine) -> str:
    """The connection string of a Cosmos engine with the product's containers; tests differ by their partitions."""
    create(cosmos_engine.connection_string, json.loads(TOPOLOGY.read_text(encoding="utf-8")))
    return cosmos_engine.connection_string


@pytest.fixture
async def orders(read_models: str) -> AsyncIterator[ContainerProxy]:
    """The container of orders and summaries."""
    async with _client(read_models) as client:
        yield client.get_database_client("orders-db").get_container_client("orders")


@pytest.fixture
async def catalog(read_models: str) -> AsyncIterator[ContainerProxy]:
    """The container of products."""
    async with _client(read_models) as client:
        yield client.get_database_client("orders-db").get_container_client("catalog")


@pytest.fixture
async def containers(read_models: str) -> AsyncIterator[Callable[[str], ContainerProxy]]:
    """The containers, by name."""
    async with _client(read_models) as client:
        yield client.get_database_client("orders-db").get_container_client


def _client(connection: str) -> CosmosClient:
    parts = dict(part.split("=", 1) for part in connection.rstrip(";").split(";"))
    return CosmosClient(
        parts["AccountEndpoint"], parts["AccountKey"], connection_verify=False, enable_endpoint_discovery=False
    )
