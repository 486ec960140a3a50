"""A disk without room: writes are refused in one line each, nothing half is kept, and it goes on once there is room."""

import logging
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import AzureError
from azure.cosmos import CosmosClient, PartitionKey

from cosmos_engine.app import build
from cosmos_engine.running import Engine
from cosmos_engine.store import Store

DOCS = "/dbs/d/colls/c/docs"
IN_A = {"x-ms-documentdb-partitionkey": '["a"]'}
CONTAINER = {"id": "c", "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}}
LARGE = "x" * 50_000
UPSERT = {"operationType": "Upsert", "resourceBody": {"id": "2", "pk": "a", "text": LARGE}}
BATCH = {"x-ms-cosmos-is-batch-request": "True", "x-ms-cosmos-batch-atomic": "True"}

type Limit = Callable[[int], object]


@asynccontextmanager
async def limited(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Limit]]:
    """A client of an engine with a container, and what limits the pages that the engine's file may have."""
    store = Store(str(tmp_path / "cosmos.db"))
    transport = httpx.ASGITransport(build(store))  # what the engine raises beside its answer is raised here
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.post("/dbs", json={"id": "d"})
            await client.post("/dbs/d/colls", json=CONTAINER)
            yield client, lambda pages: store._sql.execute(f"PRAGMA max_page_count = {pages}")
    finally:
        store.close()


async def test_a_write_without_room_is_a_503_and_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    item = {"id": "1", "pk": "a", "text": LARGE}
    async with limited(tmp_path) as (client, limit):
        limit(1)
        for body, headers in ((item, {}), ([UPSERT], BATCH)):
            caplog.clear()
            answer = await client.post(DOCS, json=body, headers=IN_A | headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "ServiceUnavailable")
            assert answer.json()["message"] == "This engine cannot write its file: database or disk is full."
            [line] = [record for record in caplog.records if record.levelno >= logging.WARNING]
            assert (line.getMessage(), line.exc_info) == ("cannot write: database or disk is full", None)
        assert (await client.get(DOCS)).json()["_count"] == 0
        limit(1_000)
        assert (await client.post(DOCS, json=item, headers=IN_A)).status_code == 201


async def test_a_container_that_could_not_be_made_is_not_there_and_can_be_made_later(tmp_path: Path) -> None:
    wide = CONTAINER | {"id": "wide", "indexingPolicy": {"excludedPaths": [{"path": f"/{LARGE}/?"}]}}
    async with limited(tmp_path) as (client, limit):
        before = (await client.get("/dbs/d/colls/c")).json()
        limit(1)
        assert (await client.post("/dbs/d/colls", json=wide)).status_code == 503
        assert (await client.put("/dbs/d/colls/c", json=wide | {"id": "c"})).status_code == 503
        assert (await client.get("/dbs/d/colls/wide")).status_code == 404
        assert (await client.get("/dbs/d/colls/c")).json() == before
        limit(1_000)
        assert (await client.post("/dbs/d/colls", json=wide)).status_code == 201


def test_an_engine_whose_file_may_not_grow_refuses_writes_reads_on_and_writes_again_when_it_may(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    try:
        with CosmosClient.from_connection_string(engine.connection_string, retry_total=0) as client:
            container = client.create_database("d").create_container("c", PartitionKey("/pk"))
            kept = container.create_item({"id": "1", "pk": "a"})
            _, most = resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, (1, most))
            for _ in range(3):
                with pytest.raises(AzureError, match="cannot write its file: disk I/O error"):
                    container.create_item({"id": "2", "pk": "a", "text": LARGE})
            assert container.read_item("1", "a") == kept
            resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, (most, most))
            container.create_item({"id": "2", "pk": "a", "text": LARGE})
    finally:
        engine.stop()
