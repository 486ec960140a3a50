"""The engine as a process: what it keeps, how it starts and how it ends."""

import asyncio
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError
from azure.cosmos import CosmosClient, PartitionKey
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient

from tests.support.cosmos import ROOT, running_cosmos, start, stop


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the engine where it is expected to end by itself."""
    command = [sys.executable, "-m", "cosmos_engine", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "not" / "there" / "yet"
    with running_cosmos(data) as connection, CosmosClient.from_connection_string(connection) as client:
        container = client.create_database("d").create_container("c", PartitionKey("/pk"), default_ttl=500)
        kept = container.create_item({"id": "1", "pk": "a", "text": "ü"})
        container.create_item({"id": "2", "pk": "a"})
        container.delete_item("2", "a")
        list(container.query_items_change_feed(start_time="Beginning"))
        continuation = container.client_connection.last_response_headers["etag"]
    with running_cosmos(data) as connection, CosmosClient.from_connection_string(connection) as client:
        container = client.get_database_client("d").get_container_client("c")
        assert container.read()["defaultTtl"] == 500
        assert dict(container.read_item("1", "a")) == dict(kept)
        new = container.create_item({"id": "3", "pk": "a"})
        assert new["_rid"] > kept["_rid"]
        changes = container.query_items_change_feed(continuation=continuation)
        assert [item["id"] for item in changes] == ["3"]


def test_pages_go_on_after_a_restart(tmp_path: Path) -> None:
    found: list[str] = []
    token = None
    for _ in range(2):
        with running_cosmos(tmp_path) as connection, CosmosClient.from_connection_string(connection) as client:
            container = client.create_database_if_not_exists("d").create_container_if_not_exists(
                "c", PartitionKey("/pk")
            )
            if token is None:
                for number in range(4):
                    container.create_item({"id": str(number), "pk": "a"})
            pages = container.query_items("SELECT * FROM c ORDER BY c.id", partition_key="a", max_item_count=2)
            pager = pages.by_page(token)
            found += [item["id"] for item in next(pager)]
            token = pager.continuation_token
    assert found == ["0", "1", "2", "3"]


async def test_a_killed_engine_has_every_write_that_it_acknowledged(tmp_path: Path) -> None:
    process, connection = start(tmp_path)
    acknowledged: dict[str, int] = {}
    async with AsyncCosmosClient.from_connection_string(connection, retry_total=0) as client:
        database = await client.create_database("d")
        container = await database.create_container("c", PartitionKey("/pk"))

        async def write(item_id: str) -> None:
            n = 0
            while True:
                n += 1
                pair = [("upsert", ({"id": f"{item_id}-{side}", "pk": "a", "n": n},)) for side in ("left", "right")]
                await container.execute_item_batch(pair, "a")
                acknowledged[item_id] = n
                if n == 25:
                    process.kill()

        outcomes = await asyncio.gather(*(write(str(number)) for number in range(4)), return_exceptions=True)
    assert all(isinstance(outcome, AzureError) for outcome in outcomes)
    stop(process, signal.SIGKILL)
    assert max(acknowledged.values()) >= 25

    with running_cosmos(tmp_path) as connection, CosmosClient.from_connection_string(connection) as client:
        items = (
            client.get_database_client("d").get_container_client("c").query_items("SELECT * FROM c", partition_key="a")
        )
        found = {item["id"]: item["n"] for item in items}
    for item_id, n in acknowledged.items():
        assert found[f"{item_id}-left"] == found[f"{item_id}-right"]
        assert found[f"{item_id}-left"] in (n, n + 1)  # the last batch may be done but not yet acknowledged


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_told_to(how: signal.Signals) -> None:
    process, connection = start(None)
    with CosmosClient.from_connection_string(connection) as client:  # an open connection does not keep it up
        client.create_database("d")
        assert stop(process, how) == 0


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("--port", str(port), "--data", ":memory:")
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}" in ended.stderr


def test_a_folder_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with running_cosmos(tmp_path):
        ended = run("--port", "0", "--data", str(tmp_path))
    assert ended.returncode == 1
    assert str(tmp_path) in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_what_is_in_memory_is_gone_with_the_process() -> None:
    for _ in range(2):
        with running_cosmos() as connection, CosmosClient.from_connection_string(connection) as client:
            client.create_database("d")


def test_a_session_outlives_a_restart_of_the_engine(tmp_path: Path) -> None:
    process, connection = start(tmp_path)
    port = int(connection.split("/;")[0].rpartition(":")[2])
    with CosmosClient.from_connection_string(connection) as client:
        container = client.create_database("d").create_container("c", PartitionKey("/pk"))
        container.create_item({"id": "1", "pk": "a"})
        stop(process)
        process, _ = start(tmp_path, port)
        assert container.read_item("1", "a")["id"] == "1"
        stop(process)


def test_the_room_of_expired_items_is_given_back_at_the_next_start(tmp_path: Path) -> None:
    with running_cosmos(tmp_path) as connection, CosmosClient.from_connection_string(connection) as client:
        container = client.create_database("d").create_container("c", PartitionKey("/pk"), default_ttl=1)
        for item_id, ttl in (("short", 1), ("long", 1000), ("forever", -1)):
            container.create_item({"id": item_id, "pk": "a", "ttl": ttl})
        deadline = time.monotonic() + 30
        while len(list(container.query_items("SELECT * FROM c", partition_key="a"))) > 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with running_cosmos(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "cosmos.db")) as file:
        assert {item_id for (item_id,) in file.execute("SELECT id FROM items")} == {"long", "forever"}


def test_an_engine_ends_with_what_started_it() -> None:
    process, _ = start(None)
    assert process.stdin is not None
    process.stdin.close()  # what the system does when a process dies
    assert process.wait(10) == 0
