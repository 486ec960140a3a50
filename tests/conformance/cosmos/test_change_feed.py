"""The change feed: the latest version of every item, in the order of the last change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy

pytestmark = pytest.mark.service_only


async def read(container: ContainerProxy, **options: Any) -> tuple[list[Any], str]:
    """The items of one read and the continuation after them."""
    pages = container.query_items_change_feed(**options).by_page()
    found = [item async for page in pages async for item in page]
    return found, container.client_connection.last_response_headers["etag"]


async def test_an_item_appears_once_with_its_last_version(container: ContainerProxy, pk: str) -> None:
    for item_id in ("1", "2", "3"):
        await container.create_item({"id": item_id, "pk": pk})
    await container.upsert_item({"id": "1", "pk": pk, "n": 1})
    await container.patch_item("2", pk, [{"op": "set", "path": "/n", "value": 2}])
    found, _ = await read(container, start_time="Beginning", partition_key=pk)
    assert [(item["id"], item.get("n")) for item in found] == [("3", None), ("1", 1), ("2", 2)]


async def test_a_continuation_gives_only_what_changed_since(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk})
    _, continuation = await read(container, start_time="Beginning", partition_key=pk)
    nothing, continuation = await read(container, continuation=continuation)
    assert nothing == []
    await container.create_item({"id": "2", "pk": pk})
    await container.create_item({"id": "3", "pk": pk + "-other"})
    found, continuation = await read(container, continuation=continuation)
    assert [item["id"] for item in found] == ["2"]
    assert (await read(container, continuation=continuation))[0] == []


async def test_from_now_on_means_without_what_was(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk})
    nothing, continuation = await read(container, start_time="Now", partition_key=pk)
    assert nothing == []
    await container.create_item({"id": "2", "pk": pk})
    assert [item["id"] for item in (await read(container, continuation=continuation))[0]] == ["2"]


async def test_a_feed_may_start_at_a_time(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk})
    hour = timedelta(hours=1)
    earlier, _ = await read(container, start_time=datetime.now(UTC) - hour, partition_key=pk)
    assert [item["id"] for item in earlier] == ["1"]


async def test_the_feed_ranges_together_have_everything(container: ContainerProxy, pk: str) -> None:
    mine = {f"{pk}-{number}" for number in range(5)}
    for partition in mine:
        await container.create_item({"id": pk, "pk": partition})
    found: list[Any] = []
    async for feed_range in container.read_feed_ranges():
        found += (await read(container, feed_range=feed_range, start_time="Beginning"))[0]
    assert sorted(item["pk"] for item in found if item["id"] == pk) == sorted(mine)


async def test_the_range_of_a_partition_key_has_its_items_only(container: ContainerProxy, pk: str) -> None:
    for partition in (pk, pk + "-other"):
        await container.create_item({"id": "1", "pk": partition})
    feed_range = await container.feed_range_from_partition_key(pk)
    found, _ = await read(container, feed_range=feed_range, start_time="Beginning")
    assert [item["pk"] for item in found] == [pk]


async def test_pages_are_as_large_as_asked_for(container: ContainerProxy, pk: str) -> None:
    for number in range(5):
        await container.create_item({"id": str(number), "pk": pk})
    pages = container.query_items_change_feed(start_time="Beginning", partition_key=pk, max_item_count=2).by_page()
    sizes = [len([item async for item in page]) async for page in pages]
    assert sizes == [2, 2, 1]


async def test_a_deleted_item_is_not_in_the_feed(container: ContainerProxy, pk: str) -> None:
    for item_id in ("1", "2"):
        await container.create_item({"id": item_id, "pk": pk})
    await container.delete_item("1", pk)
    found, _ = await read(container, start_time="Beginning", partition_key=pk)
    assert [item["id"] for item in found] == ["2"]


@pytest.mark.parametrize("mode", ["LatestVersion"])
async def test_the_latest_version_mode_can_be_named(container: ContainerProxy, pk: str, mode: Any) -> None:
    await container.create_item({"id": "1", "pk": pk})
    found, _ = await read(container, start_time="Beginning", partition_key=pk, mode=mode)
    assert [item["id"] for item in found] == ["1"]
