"""Databases and containers: made, found, listed and removed."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient, DatabaseProxy
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceExistsError, CosmosResourceNotFoundError


@pytest.fixture
async def empty(client: CosmosClient) -> AsyncIterator[DatabaseProxy]:
    """A database without containers."""
    database = await client.create_database(f"conformance-{uuid4()}")
    yield database
    await client.delete_database(database)


async def test_a_database_is_found_and_listed_until_it_is_deleted(client: CosmosClient) -> None:
    name = f"conformance-{uuid4()}"
    await client.create_database(name)
    assert (await client.get_database_client(name).read())["id"] == name
    assert name in [database["id"] async for database in client.list_databases()]
    with pytest.raises(CosmosResourceExistsError):
        await client.create_database(name)
    await client.delete_database(name)
    with pytest.raises(CosmosResourceNotFoundError):
        await client.get_database_client(name).read()


@pytest.mark.service_only
async def test_a_container_keeps_its_definition(empty: DatabaseProxy) -> None:
    policy: Any = {
        "indexingMode": "consistent",
        "includedPaths": [{"path": "/*"}],
        "excludedPaths": [{"path": "/blob/?"}, {"path": '/"_etag"/?'}],
    }
    await empty.create_container("c", PartitionKey("/a/b"), default_ttl=60, indexing_policy=policy)
    found = await empty.get_container_client("c").read()
    assert found["partitionKey"]["paths"] == ["/a/b"]
    assert found["defaultTtl"] == 60
    assert [path["path"] for path in found["indexingPolicy"]["excludedPaths"]] == ["/blob/?", '/"_etag"/?']
    assert [container["id"] async for container in empty.list_containers()] == ["c"]


async def test_creating_again_is_refused_or_finds_it(empty: DatabaseProxy) -> None:
    await empty.create_container("c", PartitionKey("/pk"))
    with pytest.raises(CosmosResourceExistsError):
        await empty.create_container("c", PartitionKey("/pk"))
    again = await empty.create_container_if_not_exists("c", PartitionKey("/pk"))
    await again.create_item({"id": "1", "pk": "a"})


async def test_a_nested_partition_key_is_enforced(empty: DatabaseProxy) -> None:
    container = await empty.create_container("c", PartitionKey("/a/b"))
    await container.create_item({"id": "1", "a": {"b": "x"}})
    assert (await container.read_item("1", "x"))["id"] == "1"
    for path in ("/a", "/a/b"):
        with pytest.raises(CosmosHttpResponseError) as refused:
            await container.patch_item("1", "x", [{"op": "set", "path": path, "value": {"b": "y"}}])
        assert refused.value.status_code == 400


async def test_a_container_that_is_created_again_is_empty(connection: str, empty: DatabaseProxy) -> None:
    stale = await empty.create_container("c", PartitionKey("/pk"))
    await stale.create_item({"id": "1", "pk": "a"})
    await empty.delete_container("c")
    async with CosmosClient.from_connection_string(connection) as another:
        await another.get_database_client(empty.id).create_container("c", PartitionKey("/pk"))
    with pytest.raises(CosmosResourceNotFoundError):
        await stale.read_item("1", "a")
    await stale.create_item({"id": "1", "pk": "a"})


async def test_without_a_container_nothing_is_found(empty: DatabaseProxy) -> None:
    with pytest.raises(CosmosResourceNotFoundError):
        await empty.get_container_client("absent").read_item("1", "a")


async def test_the_404_of_a_missing_container_has_no_sub_status(empty: DatabaseProxy) -> None:
    """Nothing but the address tells it from a missing item's. Before the first item the SDK asks for the container."""
    absent = empty.get_container_client("absent")
    for asked in (absent.read(), absent.read_item("1", "a")):
        with pytest.raises(CosmosResourceNotFoundError) as missing:
            await asked
        assert missing.value.sub_status in {None, 0}
        answer: Any = missing.value.response
        assert "/docs" not in urlsplit(answer.request.url).path


@pytest.mark.service_only
async def test_the_default_time_to_live_can_be_changed(empty: DatabaseProxy) -> None:
    container = await empty.create_container("c", PartitionKey("/pk"))
    changed = await empty.replace_container("c", PartitionKey("/pk"), default_ttl=-1)
    assert (await changed.read())["defaultTtl"] == -1
    with pytest.raises(CosmosHttpResponseError) as refused:
        await empty.replace_container(container, PartitionKey("/other"))
    assert refused.value.status_code == 400
