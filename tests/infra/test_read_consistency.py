"""Reads of Cosmos DB see what was written before them, whichever process wrote it (ADR 43)."""

import json
from typing import Any
from unittest import mock
from uuid import uuid4

import aiohttp

from cosmos_engine.running import Engine
from infra.cost import QUORUM
from infra.local.containers import TOPOLOGY, create
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase
from tests.infra.snapshots import Snapshot
from tests.infra.test_bicep import each_snapshot

REGIONS = {1: (10, 5), 2: (100_000, 300)}
"""The least maxStalenessPrefix and maxIntervalInSeconds that Azure takes, by regions (2: or more):
https://learn.microsoft.com/azure/cosmos-db/consistency-levels#consistency-levels-and-data-durability"""


async def sent_by_the_app(connection: str) -> list[set[str]]:
    """Write a document in each way, and read it in each; give the names of the headers of each request for it."""
    real = aiohttp.ClientSession._request
    sent: list[set[str]] = []

    async def request(self: aiohttp.ClientSession, method: str, url: str, **options: Any) -> object:
        if "/docs" in url:
            sent.append({name.lower() for name in options["headers"]})
        return await real(self, method, url, **options)

    models, key = CosmosDatabase(Settings(sql="", cosmos=connection, service_bus="")), str(uuid4())
    container = models.container("orders")
    with mock.patch.object(aiohttp.ClientSession, "_request", request):
        await container.create_item({"id": key, "customerId": key})
        await container.execute_item_batch([("upsert", ({"id": f"{key}-2", "customerId": key},))], key)
        await container.read_item(key, key)
        assert len([each async for each in container.query_items("SELECT * FROM c", partition_key=key)]) == 2
    await models.close()
    assert len(sent) >= 4
    return sent


@each_snapshot
async def test_reads_need_no_session_token_which_this_client_never_sends(
    snapshot: Snapshot, cosmos_engine: Engine
) -> None:
    create(cosmos_engine.connection_string, json.loads(TOPOLOGY.read_text(encoding="utf-8")))
    for headers in await sent_by_the_app(cosmos_engine.connection_string):
        assert not headers & {"x-ms-session-token", "x-ms-consistency-level"}, "the account's level alone decides"
    policy = snapshot.one("DocumentDB/databaseAccounts")["properties"]["consistencyPolicy"]
    assert policy["defaultConsistencyLevel"] in QUORUM, "any other reads one replica, which may lag, without a token"


@each_snapshot
def test_the_bounds_are_the_least_that_azure_takes_for_as_many_regions(snapshot: Snapshot) -> None:
    account = snapshot.one("DocumentDB/databaseAccounts")["properties"]
    policy, regions = account["consistencyPolicy"], len(account["locations"])
    assert (policy["maxStalenessPrefix"], policy["maxIntervalInSeconds"]) == REGIONS[min(regions, 2)]
