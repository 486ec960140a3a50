"""Time to live: the default of the container, which an item may overrule. The container's here is one second."""

import asyncio
import time
from collections.abc import Callable, Coroutine

import pytest
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError

TIMEOUT = 30.0


async def until(expired: Callable[[], Coroutine[None, None, bool]]) -> None:
    """Wait for it; the service may take a little longer than the time to live says."""
    deadline = time.monotonic() + TIMEOUT
    while not await expired():
        assert time.monotonic() < deadline, "still there"
        await asyncio.sleep(0.1)


async def is_gone(container: ContainerProxy, pk: str, item_id: str) -> bool:
    try:
        await container.read_item(item_id, pk)
    except CosmosResourceNotFoundError:
        return True
    return False


async def test_an_item_expires_and_another_that_is_to_stay_does_not(expiring: ContainerProxy, pk: str) -> None:
    await expiring.create_item({"id": "default", "pk": pk})
    await expiring.create_item({"id": "longer", "pk": pk, "ttl": 1000})
    await expiring.create_item({"id": "forever", "pk": pk, "ttl": -1})
    await until(lambda: is_gone(expiring, pk, "default"))
    found = [item["id"] async for item in expiring.query_items("SELECT * FROM c", partition_key=pk)]
    assert sorted(found) == ["forever", "longer"]


@pytest.mark.service_only
async def test_an_expired_item_is_not_in_the_feed(expiring: ContainerProxy, pk: str) -> None:
    await expiring.create_item({"id": "default", "pk": pk})
    await expiring.create_item({"id": "longer", "pk": pk, "ttl": 1000})
    await until(lambda: is_gone(expiring, pk, "default"))
    feed = expiring.query_items_change_feed(start_time="Beginning", partition_key=pk)
    assert [item["id"] async for item in feed] == ["longer"]


async def test_the_id_of_an_expired_item_is_free(expiring: ContainerProxy, pk: str) -> None:
    await expiring.create_item({"id": "1", "pk": pk, "n": 1})
    await until(lambda: is_gone(expiring, pk, "1"))
    with pytest.raises(CosmosResourceNotFoundError):
        await expiring.patch_item("1", pk, [{"op": "set", "path": "/n", "value": 2}])
    await expiring.create_item({"id": "1", "pk": pk, "ttl": 1000})
    assert "n" not in await expiring.read_item("1", pk)


async def test_the_time_to_live_can_be_patched(expiring: ContainerProxy, pk: str) -> None:
    await expiring.create_item({"id": "1", "pk": pk, "ttl": 1000})
    await expiring.patch_item("1", pk, [{"op": "set", "path": "/ttl", "value": 1}])
    await until(lambda: is_gone(expiring, pk, "1"))


async def test_in_a_container_without_it_an_item_stays(
    container: ContainerProxy, expiring: ContainerProxy, pk: str
) -> None:
    await container.create_item({"id": "1", "pk": pk, "ttl": 1})
    await expiring.create_item({"id": "1", "pk": pk})
    await until(lambda: is_gone(expiring, pk, "1"))
    assert (await container.read_item("1", pk))["ttl"] == 1


@pytest.mark.parametrize("ttl", [0, -2, 1.5, "60", 2**31])
async def test_a_time_to_live_that_is_none_is_refused(expiring: ContainerProxy, pk: str, ttl: object) -> None:
    with pytest.raises(CosmosHttpResponseError) as refused:
        await expiring.create_item({"id": "1", "pk": pk, "ttl": ttl})
    assert refused.value.status_code == 400
