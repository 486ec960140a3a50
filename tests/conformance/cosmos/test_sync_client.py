"""The synchronous client: the same requests, so one of each kind."""

from collections.abc import Iterator
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceNotFoundError,
)

from tests.conformance.cosmos.conftest import PLAIN


@pytest.fixture
def sync_container(connection: str, database_name: str) -> Iterator[ContainerProxy]:
    with CosmosClient.from_connection_string(connection) as client:
        yield client.get_database_client(database_name).get_container_client(PLAIN)


def test_items_are_written_and_read(sync_container: ContainerProxy, pk: str) -> None:
    sync_container.create_item({"id": "1", "pk": pk, "n": 0})
    sync_container.upsert_item({"id": "2", "pk": pk, "n": 2})
    sync_container.replace_item("2", {"id": "2", "pk": pk, "n": 3})
    sync_container.patch_item(
        "1", pk, [{"op": "incr", "path": "/n", "value": 1}], filter_predicate="from c where c.n = 0"
    )
    with pytest.raises(CosmosAccessConditionFailedError):
        sync_container.patch_item(
            "1", pk, [{"op": "incr", "path": "/n", "value": 1}], filter_predicate="from c where c.n = 0"
        )
    query = "SELECT VALUE c.n FROM c WHERE c.n > @least ORDER BY c.n"
    least: list[dict[str, object]] = [{"name": "@least", "value": 0}]
    found: list[Any] = list(sync_container.query_items(query, parameters=least, partition_key=pk))
    assert found == [1, 3]
    sync_container.delete_item("2", pk)
    with pytest.raises(CosmosResourceNotFoundError):
        sync_container.read_item("2", pk)


@pytest.mark.service_only
def test_the_feed_has_what_was_written(sync_container: ContainerProxy, pk: str) -> None:
    for item_id in ("1", "2"):
        sync_container.create_item({"id": item_id, "pk": pk})
    feed = sync_container.query_items_change_feed(start_time="Beginning", partition_key=pk)
    assert sorted(item["id"] for item in feed) == ["1", "2"]


def test_a_batch_is_atomic(sync_container: ContainerProxy, pk: str) -> None:
    with pytest.raises(CosmosBatchOperationError) as failed:
        sync_container.execute_item_batch([("create", ({"id": "1", "pk": pk},)), ("read", ("absent",))], pk)
    assert failed.value.status_code == 404
    with pytest.raises(CosmosResourceNotFoundError):
        sync_container.read_item("1", pk)


def test_a_query_across_partitions_must_be_asked_for(sync_container: ContainerProxy, pk: str) -> None:
    sync_container.create_item({"id": pk, "pk": pk, "mark": pk})
    query = "SELECT * FROM c WHERE c.mark = @mark"
    mark: list[dict[str, object]] = [{"name": "@mark", "value": pk}]
    with pytest.raises(CosmosHttpResponseError) as refused:
        list(sync_container.query_items(query, parameters=mark))
    assert refused.value.status_code == 400
    found = sync_container.query_items(query, parameters=mark, enable_cross_partition_query=True)
    assert [item["id"] for item in found] == [pk]


def test_all_items_of_a_container_can_be_read(sync_container: ContainerProxy, pk: str) -> None:
    for number in range(3):
        sync_container.create_item({"id": str(number), "pk": pk})
    found = [item["id"] for item in sync_container.read_all_items(max_item_count=2) if item.get("pk") == pk]
    assert sorted(found) == ["0", "1", "2"]
