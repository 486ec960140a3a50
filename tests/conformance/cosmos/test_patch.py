"""Partial document update: what each operation does, what it refuses, and conditions."""

from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosHttpResponseError,
    CosmosResourceNotFoundError,
)

DOCUMENT: dict[str, Any] = {
    "n": 1,
    "half": 0.5,
    "text": "a",
    "none": None,
    "list": [1, 2, 3],
    "deep": {"a": {"b": 1}},
    "a/b": 1,
}


def op(verb: str, path: str, *value: Any) -> dict[str, Any]:
    if verb == "move":
        return {"op": "move", "from": value[0], "path": path}
    return {"op": verb, "path": path, **({"value": value[0]} if value else {})}


@pytest.mark.parametrize(
    ("operation", "changed"),
    [
        (op("add", "/new", {"x": 1}), {"new": {"x": 1}}),
        (op("add", "/n", 2), {"n": 2}),
        (op("add", "/deep/a/c", 2), {"deep": {"a": {"b": 1, "c": 2}}}),
        (op("add", "/list/0", 9), {"list": [9, 1, 2, 3]}),
        (op("add", "/list/3", 9), {"list": [1, 2, 3, 9]}),
        (op("add", "/list/-", 9), {"list": [1, 2, 3, 9]}),
        (op("add", "/new", None), {"new": None}),
        (op("set", "/new", 1), {"new": 1}),
        (op("set", "/n", "text"), {"n": "text"}),
        (op("set", "/list/1", 9), {"list": [1, 9, 3]}),
        (op("set", "/list/-", 9), {"list": [1, 2, 3, 9]}),
        (op("set", "/a~1b", 2), {"a/b": 2}),
        (op("replace", "/n", 2), {"n": 2}),
        (op("replace", "/list/2", 9), {"list": [1, 2, 9]}),
        (op("remove", "/list/0"), {"list": [2, 3]}),
        (op("incr", "/n", 2), {"n": 3}),
        (op("incr", "/n", -2.5), {"n": -1.5}),
        (op("incr", "/half", 0.5), {"half": 1}),
        (op("incr", "/list/1", 5), {"list": [1, 7, 3]}),
        (op("incr", "/new", 5), {"new": 5}),
        (op("incr", "/deep/a/new", 5), {"deep": {"a": {"b": 1, "new": 5}}}),
        (op("move", "/moved", "/deep/a"), {"deep": {}, "moved": {"b": 1}}),
        (op("move", "/n", "/deep/a/b"), {"deep": {"a": {}}, "n": 1}),
    ],
    ids=str,
)
async def test_an_operation_changes_what_it_names_and_nothing_else(
    container: ContainerProxy, pk: str, operation: dict[str, Any], changed: dict[str, Any]
) -> None:
    await container.create_item({"id": "1", "pk": pk, **DOCUMENT})
    answer = await container.patch_item("1", pk, [operation])
    found = await container.read_item("1", pk)
    assert dict(found) == dict(answer)
    assert {key: found[key] for key in found if not key.startswith("_")} == {"id": "1", "pk": pk, **DOCUMENT, **changed}


async def test_a_removed_property_is_gone(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk, **DOCUMENT})
    await container.patch_item("1", pk, [op("remove", "/none"), op("remove", "/deep/a/b")])
    found = await container.read_item("1", pk)
    assert "none" not in found
    assert found["deep"] == {"a": {}}


@pytest.mark.parametrize(
    "operation",
    [
        op("add", "/absent/x", 1),
        op("set", "/absent/x", 1),
        op("add", "/n/x", 1),
        op("add", "/list/4", 1),
        op("set", "/list/9", 1),
        op("add", "/list/x", 1),
        op("replace", "/absent", 1),
        op("replace", "/list/3", 1),
        op("remove", "/absent"),
        op("remove", "/list/3"),
        op("incr", "/text", 1),
        op("incr", "/none", 1),
        op("incr", "/n", "1"),
        op("move", "/x", "/absent"),
        op("move", "/deep/a/x", "/deep"),
        op("set", "/id", "2"),
        op("set", "/pk", "other"),
        op("remove", "/pk"),
        op("set", "/_ts", 1),
        op("set", "n", 1),
        op("copy", "/n", 1),
        op("add", "/x"),
    ],
    ids=str,
)
async def test_what_cannot_be_done_is_refused_and_leaves_the_item_alone(
    container: ContainerProxy, pk: str, operation: dict[str, Any]
) -> None:
    before = await container.create_item({"id": "1", "pk": pk, **DOCUMENT})
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.patch_item("1", pk, [op("set", "/n", 100), operation])
    assert refused.value.status_code == 400
    assert dict(await container.read_item("1", pk)) == dict(before)


async def test_the_partition_key_cannot_be_patched_even_with_its_own_value(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk})
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.patch_item("1", pk, [op("set", "/pk", pk)])
    assert refused.value.status_code == 400


async def test_operations_are_applied_in_order(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk})
    operations = [op("add", "/a", {}), op("add", "/a/b", []), op("add", "/a/b/-", 1), op("incr", "/a/b/0", 2)]
    assert (await container.patch_item("1", pk, operations))["a"] == {"b": [3]}


async def test_ten_operations_are_allowed_and_eleven_are_not(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk, "n": 0})
    patched = await container.patch_item("1", pk, [op("incr", "/n", 1)] * 10)
    assert patched["n"] == 10
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.patch_item("1", pk, [op("incr", "/n", 1)] * 11)
    assert refused.value.status_code == 400
    assert (await container.read_item("1", pk))["n"] == 10


async def test_increments_of_large_integers_round_as_doubles(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk, "n": 2**53})
    assert (await container.patch_item("1", pk, [op("incr", "/n", 1)]))["n"] == 2**53


@pytest.mark.parametrize(
    "predicate",
    [
        "from c where c.version = 4",
        "FROM orders o WHERE o.version = 4 AND o.status IN ('open', 'new')",
        'from c where IS_DEFINED(c.version) and not IS_DEFINED(c["closed-at"])',
        "from c where c.version > 3 and c.version < 5",
        "from c where ARRAY_CONTAINS(c.events, 'b')",
    ],
)
async def test_a_patch_is_applied_when_its_condition_is_true(
    container: ContainerProxy, pk: str, predicate: str
) -> None:
    await container.create_item({"id": "1", "pk": pk, "version": 4, "status": "open", "events": ["a", "b"]})
    patched = await container.patch_item("1", pk, [op("incr", "/version", 1)], filter_predicate=predicate)
    assert patched["version"] == 5


@pytest.mark.parametrize(
    "predicate",
    [
        "from c where c.version = 5",
        "from c where c.version = '4'",
        "from c where c.absent = 4",
        "from c where not c.absent",
        "from c where c.version",
        "from c where c.absent < 4 or c.version = 3",
    ],
)
async def test_a_patch_whose_condition_is_not_true_is_refused(
    container: ContainerProxy, pk: str, predicate: str
) -> None:
    before = await container.create_item({"id": "1", "pk": pk, "version": 4})
    with pytest.raises(CosmosAccessConditionFailedError):
        await container.patch_item("1", pk, [op("incr", "/version", 1)], filter_predicate=predicate)
    assert dict(await container.read_item("1", pk)) == dict(before)


async def test_a_condition_on_a_missing_item_is_not_found(container: ContainerProxy, pk: str) -> None:
    with pytest.raises(CosmosResourceNotFoundError):
        await container.patch_item("1", pk, [op("set", "/a", 1)], filter_predicate="from c where c.version = 4")


async def test_a_condition_that_is_no_condition_is_a_bad_request(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk, "version": 4})
    for predicate in ("from c where c.version ==", "nonsense"):
        with pytest.raises(CosmosHttpResponseError) as refused:
            await container.patch_item("1", pk, [op("set", "/a", 1)], filter_predicate=predicate)
        assert refused.value.status_code == 400
