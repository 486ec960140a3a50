"""One item: written, read and refused."""

import asyncio
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from azure.cosmos.partition_key import NonePartitionKeyValue, NullPartitionKeyValue

SYSTEM = {"_rid", "_self", "_etag", "_attachments", "_ts"}


async def test_an_item_comes_back_as_it_was_written(container: ContainerProxy, pk: str) -> None:
    document = {
        "id": "1",
        "pk": pk,
        "text": "Ünïcödé 🚲",
        "none": None,
        "nested": {"a": [1, 2.5, True, {}]},
        "": "empty",
    }
    created = await container.create_item(document)
    found = await container.read_item("1", pk)
    assert dict(found) == dict(created)
    assert {key: value for key, value in found.items() if key not in SYSTEM} == document
    assert set(found) - set(document) == SYSTEM


async def test_an_id_is_taken_once_in_a_partition(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk})
    with pytest.raises(CosmosResourceExistsError):
        await container.create_item({"id": "1", "pk": pk})
    await container.create_item({"id": "1", "pk": pk + "-other"})


async def test_a_missing_item_is_not_found(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk})
    for absent in (container.read_item("2", pk), container.read_item("1", pk + "-other")):
        with pytest.raises(CosmosResourceNotFoundError):
            await absent
    for change in (container.delete_item("2", pk), container.replace_item("2", {"id": "2", "pk": pk})):
        with pytest.raises(CosmosResourceNotFoundError):
            await change


async def test_an_item_as_it_was_read_stands_for_its_id(container: ContainerProxy, pk: str) -> None:
    first, second = [await container.create_item({"id": str(number), "pk": pk}) for number in (1, 2)]
    assert (await container.read_item(first, pk))["id"] == "1"
    await container.replace_item(second, {"id": "2", "pk": pk, "n": 1})
    assert (await container.patch_item(second, pk, [{"op": "incr", "path": "/n", "value": 1}]))["n"] == 2
    await container.delete_item(first, pk)
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item(first, pk)
    assert [it["id"] async for it in container.query_items("SELECT * FROM c", partition_key=pk)] == ["2"]


async def test_upsert_creates_then_replaces_the_whole_item(container: ContainerProxy, pk: str) -> None:
    first = await container.upsert_item({"id": "1", "pk": pk, "a": 1})
    second = await container.upsert_item({"id": "1", "pk": pk, "b": 2})
    assert "a" not in second
    assert second["_rid"] == first["_rid"]
    assert second["_etag"] != first["_etag"]
    assert (await container.read_item("1", pk))["b"] == 2


async def test_an_upsert_with_an_etag_creates_what_is_not_there(container: ContainerProxy, pk: str) -> None:
    """The etag counts only where there is one to match: https://github.com/Azure/azure-cosmos-dotnet-v3/issues/1698."""
    condition: dict[str, Any] = {"etag": '"any"', "match_condition": MatchConditions.IfNotModified}
    assert (await container.upsert_item({"id": "1", "pk": pk}, **condition))["id"] == "1"


async def test_a_deleted_item_is_gone_and_its_id_is_free(container: ContainerProxy, pk: str) -> None:
    first = await container.create_item({"id": "1", "pk": pk})
    await container.delete_item("1", pk)
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item("1", pk)
    again = await container.create_item({"id": "1", "pk": pk})
    assert again["_etag"] != first["_etag"]
    assert again["_rid"] != first["_rid"]


async def test_a_stale_etag_refuses_every_kind_of_write(container: ContainerProxy, pk: str) -> None:
    stale = (await container.create_item({"id": "1", "pk": pk}))["_etag"]
    current = await container.replace_item("1", {"id": "1", "pk": pk, "n": 1})
    guard: dict[str, Any] = {"etag": stale, "match_condition": MatchConditions.IfNotModified}
    for refused in (
        container.replace_item("1", {"id": "1", "pk": pk}, **guard),
        container.upsert_item({"id": "1", "pk": pk}, **guard),
        container.patch_item("1", pk, [{"op": "set", "path": "/n", "value": 2}], **guard),
        container.delete_item("1", pk, **guard),
    ):
        with pytest.raises(CosmosAccessConditionFailedError):
            await refused
    assert dict(await container.read_item("1", pk)) == dict(current)
    guard["etag"] = current["_etag"]
    await container.patch_item("1", pk, [{"op": "set", "path": "/n", "value": 2}], **guard)


async def test_an_unchanged_item_is_not_sent_again(container: ContainerProxy, pk: str) -> None:
    etag = (await container.create_item({"id": "1", "pk": pk}))["_etag"]
    statuses = []

    def hook(headers: Any, _body: Any) -> None:
        statuses.append(headers.get("etag"))

    unchanged = await container.read_item(
        "1", pk, etag=etag, match_condition=MatchConditions.IfModified, response_hook=hook
    )
    assert not unchanged
    assert statuses == [etag]
    await container.upsert_item({"id": "1", "pk": pk, "n": 1})
    changed = await container.read_item("1", pk, etag=etag, match_condition=MatchConditions.IfModified)
    assert changed["n"] == 1


async def test_only_one_of_many_writers_with_the_same_etag_wins(container: ContainerProxy, pk: str) -> None:
    etag = (await container.create_item({"id": "1", "pk": pk, "by": None}))["_etag"]
    outcomes = await asyncio.gather(
        *(
            container.replace_item(
                "1", {"id": "1", "pk": pk, "by": writer}, etag=etag, match_condition=MatchConditions.IfNotModified
            )
            for writer in range(12)
        ),
        return_exceptions=True,
    )
    winners = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(winners) == 1
    assert all(isinstance(outcome, CosmosAccessConditionFailedError) for outcome in outcomes if outcome not in winners)
    assert (await container.read_item("1", pk))["by"] == winners[0]["by"]


async def test_no_increment_of_many_at_once_is_lost(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk, "n": 0})
    add_one = [{"op": "incr", "path": "/n", "value": 1}]
    await asyncio.gather(*(container.patch_item("1", pk, add_one) for _ in range(40)))
    assert (await container.read_item("1", pk))["n"] == 40


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (2**53, 2**53),
        (2**53 + 1, 2**53),
        (-(2**53) - 1, -(2**53)),
        (12345678901234567890, 12345678901234567168),
        (0.1, 0.1),
        (1e300, 1e300),
        (3.0, 3),
    ],
)
async def test_numbers_are_doubles(container: ContainerProxy, pk: str, sent: float, kept: float) -> None:
    await container.create_item({"id": "1", "pk": pk, "n": sent})
    assert (await container.read_item("1", pk))["n"] == kept


@pytest.mark.parametrize("key", ["text", "", 7, 2.5, True, False, None])
async def test_a_partition_key_is_any_scalar(container: ContainerProxy, pk: str, key: Any) -> None:
    item_id = f"{pk}-{key}"
    await container.create_item({"id": item_id, "pk": key})
    found = await container.read_item(item_id, key if key is not None else NullPartitionKeyValue)
    assert found["pk"] == key
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item(item_id, pk)


@pytest.mark.parametrize(
    "key", ["k" * 2048, "é" * 1024, "\U0001f6b2" * 512, '"\\' * 1024], ids=["ascii", "é", "bicycles", "escaped"]
)
async def test_a_partition_key_has_up_to_2048_bytes_of_utf_8(container: ContainerProxy, pk: str, key: str) -> None:
    await container.create_item({"id": pk, "pk": key})
    assert (await container.read_item(pk, key))["pk"] == key
    assert [it["id"] async for it in container.query_items("SELECT * FROM c", partition_key=key)] == [pk]
    await container.delete_item(pk, key)


@pytest.mark.parametrize("key", ["k" * 2049, "é" * 1024 + "k"], ids=["ascii", "é"])
async def test_a_longer_partition_key_is_refused(container: ContainerProxy, pk: str, key: str) -> None:
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.create_item({"id": pk, "pk": key})
    assert refused.value.status_code == 400


async def test_equal_numbers_are_one_partition(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": pk, "pk": 7.0})
    assert (await container.read_item(pk, 7))["pk"] == 7
    with pytest.raises(CosmosResourceExistsError):
        await container.create_item({"id": pk, "pk": 7})


async def test_one_and_true_are_different_partitions(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": pk, "pk": 1})
    await container.create_item({"id": pk, "pk": True})
    assert (await container.read_item(pk, 1))["pk"] is not True
    assert (await container.read_item(pk, True))["pk"] is True


async def test_an_item_without_the_partition_key_has_its_own_partition(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": pk})
    assert (await container.read_item(pk, NonePartitionKeyValue))["id"] == pk
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item(pk, NullPartitionKeyValue)


async def test_a_document_of_another_partition_than_the_header_says_is_refused(
    container: ContainerProxy, pk: str
) -> None:
    with pytest.raises(CosmosBatchOperationError) as refused:
        await container.execute_item_batch([("create", ({"id": "1", "pk": "another"},))], pk)
    assert refused.value.status_code == 400


async def test_the_id_cannot_be_replaced(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk})
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.replace_item("1", {"id": "2", "pk": pk})
    assert refused.value.status_code == 400


async def test_an_item_needs_an_id(container: ContainerProxy, pk: str) -> None:
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.create_item({"pk": pk})
    assert refused.value.status_code == 400


@pytest.mark.parametrize("item_id", ["x" * 1023, "with space, comma & ümlaut %20", "a:b@c", "🚲" * 200])
async def test_an_id_may_have_up_to_1023_bytes_of_nearly_anything(
    container: ContainerProxy, pk: str, item_id: str
) -> None:
    await container.create_item({"id": item_id, "pk": pk})
    assert (await container.read_item(item_id, pk))["id"] == item_id
    await container.delete_item(item_id, pk)


async def test_a_longer_id_is_refused(container: ContainerProxy, pk: str) -> None:
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.create_item({"id": "x" * 1024, "pk": pk})
    assert refused.value.status_code == 400


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp's advice to the client
async def test_an_item_of_nearly_2_mb_fits_and_a_larger_one_does_not(container: ContainerProxy, pk: str) -> None:
    document = {"id": "1", "pk": pk, "text": "x" * (2 * 1024 * 1024 - 2000)}
    await container.create_item(document)
    assert len((await container.read_item("1", pk))["text"]) == len(document["text"])
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.upsert_item({**document, "text": "x" * (2 * 1024 * 1024 + 1)})
    assert refused.value.status_code == 413


@pytest.mark.service_only
async def test_every_answer_carries_its_charge_and_a_session_token(container: ContainerProxy, pk: str) -> None:
    created = await container.create_item({"id": "1", "pk": pk})
    read = await container.read_item("1", pk)
    for answer in (created, read):
        assert float(answer.get_response_headers()["x-ms-request-charge"]) > 0
        assert ":" in answer.get_response_headers()["x-ms-session-token"]
    assert float(read.get_response_headers()["x-ms-request-charge"]) == 1
    with pytest.raises(CosmosResourceNotFoundError) as missing:
        await container.read_item("2", pk)
    assert float(missing.value.headers["x-ms-request-charge"]) > 0


async def test_a_write_may_ask_for_no_body(container: ContainerProxy, pk: str) -> None:
    answer = await container.create_item({"id": "1", "pk": pk}, no_response=True)
    assert not answer
    assert answer.get_response_headers()["etag"] == (await container.read_item("1", pk))["_etag"]
