"""`python -m infra.local.containers` makes what infra/local/cosmos.json says."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from azure.cosmos import CosmosClient, PartitionKey

from infra.local.containers import TOPOLOGY, create
from tests.support.cosmos import ROOT, running_cosmos

DECLARED = json.loads(TOPOLOGY.read_text(encoding="utf-8"))


@pytest.fixture
def connection() -> Iterator[str]:
    with running_cosmos() as started:
        yield started


def run(connection: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.local.containers"]
    environment = {**os.environ, "CosmosConnection": connection}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_what_is_declared_is_there_after_one_run_and_unchanged_after_another(connection: str) -> None:
    assert run(connection).returncode == 0
    with CosmosClient.from_connection_string(connection) as client:
        database = client.get_database_client(DECLARED["database"])
        found = {it["id"]: it["partitionKey"]["paths"] for it in database.list_containers()}
        assert found == {it["id"]: [it["partitionKey"]] for it in DECLARED["containers"]}
        key = DECLARED["containers"][0]["partitionKey"].removeprefix("/")
        database.get_container_client(DECLARED["containers"][0]["id"]).create_item({"id": "1", key: "a"})
    again = run(connection)
    assert again.returncode == 0
    assert again.stdout.splitlines() == [f"{DECLARED['database']}/{it['id']}" for it in DECLARED["containers"]]


def test_without_its_setting_it_says_which_one() -> None:
    ended = run("")
    assert ended.returncode == 1
    assert "CosmosConnection" in ended.stderr


def test_time_to_live_and_indexing_are_taken_over(connection: str) -> None:
    indexing = {"indexingMode": "consistent", "excludedPaths": [{"path": "/blob/?"}]}
    wanted = {"id": "c", "partitionKey": "/pk", "defaultTtl": -1, "indexingPolicy": indexing}
    create(connection, {"database": "d", "containers": [wanted]})
    with CosmosClient.from_connection_string(connection) as client:
        found = client.get_database_client("d").get_container_client("c").read()
    assert found["defaultTtl"] == -1
    assert found["indexingPolicy"]["excludedPaths"] == [{"path": "/blob/?"}]


def test_a_container_of_before_gets_the_indexes_that_are_declared_now_and_keeps_its_items(connection: str) -> None:
    before = {"id": "c", "partitionKey": "/pk", "indexingPolicy": {"includedPaths": [{"path": "/old/?"}]}}
    now = before | {"indexingPolicy": {"includedPaths": [{"path": "/old/?"}, {"path": "/new/?"}]}}
    create(connection, {"database": "d", "containers": [before]})
    with CosmosClient.from_connection_string(connection) as client:
        container = client.get_database_client("d").get_container_client("c")
        container.create_item({"id": "1", "pk": "a"})
        create(connection, {"database": "d", "containers": [now]})
        found = container.read()
        assert [each["path"] for each in found["indexingPolicy"]["includedPaths"]] == ["/old/?", "/new/?"]
        create(connection, {"database": "d", "containers": [now]})
        assert container.read()["_etag"] == found["_etag"], "nothing was left to change"
        assert container.read_item("1", "a")["id"] == "1"


def composite(*paths: tuple[str, str]) -> list[dict[str, str]]:
    return [{"path": path, "order": order} for path, order in paths]


BEFORE: dict[str, Any] = {
    "indexingMode": "consistent",
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [],
    "compositeIndexes": [composite(("/at", "ascending"), ("/id", "ascending"))],
}


@pytest.mark.parametrize(
    "change",
    [
        {"compositeIndexes": [composite(("/at", "descending"), ("/id", "ascending"))]},
        {"compositeIndexes": [composite(("/id", "ascending"), ("/at", "ascending"))]},
        {"compositeIndexes": [composite(("/at", "ascending"), ("/name", "ascending"))]},
        {"indexingMode": "none"},
        {"excludedPaths": [{"path": "/blob/?"}]},
    ],
)
def test_a_container_of_before_gets_indexes_that_differ_in_any_respect(change: dict[str, Any], connection: str) -> None:
    for policy in (BEFORE, BEFORE | change, BEFORE | change):
        create(
            connection,
            {"database": "d", "containers": [{"id": "c", "partitionKey": "/pk", "indexingPolicy": policy}]},
        )
    with CosmosClient.from_connection_string(connection) as client:
        found = client.get_database_client("d").get_container_client("c").read()["indexingPolicy"]
    assert {key: found.get(key, []) for key in change} == change


def test_a_container_with_another_partition_key_is_not_taken_for_the_declared_one(connection: str) -> None:
    with CosmosClient.from_connection_string(connection) as client:
        client.create_database("d").create_container("c", PartitionKey("/old"))
    with pytest.raises(SystemExit, match="/old"):
        create(connection, {"database": "d", "containers": [{"id": "c", "partitionKey": "/new"}]})
