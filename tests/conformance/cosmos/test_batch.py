"""Transactional batch: the operations of one partition, all of them or none."""

import asyncio
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

ADD_ONE = [{"op": "incr", "path": "/n", "value": 1}]


async def test_every_kind_of_operation_has_its_result(container: ContainerProxy, pk: str) -> None:
    for item_id in ("old", "doomed"):
        await container.create_item({"id": item_id, "pk": pk, "n": 0})
    results = await container.execute_item_batch(
        [
            ("create", ({"id": "new", "pk": pk},)),
            ("upsert", ({"id": "new", "pk": pk, "n": 1},)),
            ("upsert", ({"id": "newer", "pk": pk},)),
            ("replace", ("old", {"id": "old", "pk": pk, "n": 5})),
            ("patch", ("old", ADD_ONE)),
            ("read", ("old",)),
            ("delete", ("doomed",)),
        ],
        pk,
    )
    assert [result["statusCode"] for result in results] == [201, 200, 201, 200, 200, 200, 204]
    assert results[5]["resourceBody"]["n"] == 6
    assert results[5]["eTag"] == (await container.read_item("old", pk))["_etag"]
    assert all(result["requestCharge"] > 0 for result in results)
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item("doomed", pk)


@pytest.mark.parametrize(
    ("failing", "status"),
    [
        (("create", ({"id": "old"},)), 409),
        (("replace", ("absent", {"id": "absent"})), 404),
        (("read", ("absent",)), 404),
        (("delete", ("absent",)), 404),
        (("replace", ("old", {"id": "old"}), {"if_match_etag": '"stale"'}), 412),
        (("patch", ("old", ADD_ONE), {"filter_predicate": "from c where c.n = 7"}), 412),
        (("patch", ("old", ADD_ONE), {"if_match_etag": '"stale"'}), 412),
        (("patch", ("absent", ADD_ONE), {"filter_predicate": "from c where c.n = 0"}), 404),
        (("patch", ("old", [{"op": "remove", "path": "/absent"}])), 400),
        (("patch", ("old", ADD_ONE * 11)), 400),
    ],
    ids=str,
)
async def test_one_failure_undoes_the_batch_and_says_where(
    container: ContainerProxy, pk: str, failing: tuple[Any, ...], status: int
) -> None:
    before = await container.create_item({"id": "old", "pk": pk, "n": 0})
    verb, arguments, *options = failing
    arguments = tuple({**part, "pk": pk} if isinstance(part, dict) else part for part in arguments)
    operations: list[Any] = [
        ("create", ({"id": "new", "pk": pk},)),
        ("patch", ("old", ADD_ONE)),
        (verb, arguments, *(dict(option) for option in options)),
        ("upsert", ({"id": "newer", "pk": pk},)),
    ]
    with pytest.raises(CosmosBatchOperationError) as failed:
        await container.execute_item_batch(operations, pk)
    assert failed.value.status_code == status
    assert failed.value.error_index == 2
    assert failed.value.operation_responses is not None
    assert [result["statusCode"] for result in failed.value.operation_responses] == [424, 424, status, 424]
    assert dict(await container.read_item("old", pk)) == dict(before)
    for item_id in ("new", "newer"):
        with pytest.raises(CosmosResourceNotFoundError):
            await container.read_item(item_id, pk)


async def test_a_conditional_patch_in_a_batch_sees_what_came_before_it(container: ContainerProxy, pk: str) -> None:
    results = await container.execute_item_batch(
        [
            ("create", ({"id": "1", "pk": pk, "n": 0},)),
            ("patch", ("1", ADD_ONE), {"filter_predicate": "from c where c.n = 0"}),
            ("patch", ("1", ADD_ONE), {"filter_predicate": "from c where c.n = 1"}),
        ],
        pk,
    )
    assert results[2]["resourceBody"]["n"] == 2


async def test_a_version_gate_lets_one_of_many_batches_through(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "order", "pk": pk, "n": 0})
    await container.create_item({"id": "summary", "pk": pk, "n": 0})
    gated: list[Any] = [
        ("patch", ("order", ADD_ONE), {"filter_predicate": "from c where c.n = 0"}),
        ("patch", ("summary", ADD_ONE)),
    ]
    outcomes = await asyncio.gather(
        *(container.execute_item_batch([(*step[:2], *map(dict, step[2:])) for step in gated], pk) for _ in range(10)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, CosmosBatchOperationError) for outcome in outcomes) == 9
    assert (await container.read_item("summary", pk))["n"] == 1


async def test_a_batch_without_operations_is_refused(container: ContainerProxy, pk: str) -> None:
    # stated by azure-cosmos' own tests against the service (sdk/cosmos/azure-cosmos/tests/test_transactional_batch.py)
    with pytest.raises(CosmosHttpResponseError, match="Batch request has no operations") as refused:
        await container.execute_item_batch([], pk)
    assert refused.value.status_code == 400


async def test_a_hundred_operations_are_allowed_and_one_more_is_not(container: ContainerProxy, pk: str) -> None:
    creates: list[Any] = [("create", ({"id": str(number), "pk": pk},)) for number in range(101)]
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.execute_item_batch(creates, pk)
    assert refused.value.status_code == 400
    results = await container.execute_item_batch(creates[:100], pk)
    assert len(results) == 100
    with pytest.raises(CosmosResourceExistsError):
        await container.create_item({"id": "99", "pk": pk})


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp's advice to the client
async def test_a_batch_of_more_than_2_mb_is_refused(container: ContainerProxy, pk: str) -> None:
    creates: list[Any] = [("create", ({"id": str(number), "pk": pk, "text": "x" * 800_000},)) for number in range(3)]
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.execute_item_batch(creates, pk)
    assert refused.value.status_code == 413
