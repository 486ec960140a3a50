"""`python -m infra.local.containers`: create the database and the containers of infra/local/cosmos.json.

Through the real client, at the connection string in the environment setting `CosmosConnection`, so it serves the
engine, the official emulator and Azure alike; run again it changes nothing. An existing container gets the indexes
and the time to live that it is to have now. The file has `database` and `containers`,
each with `id`, `partitionKey` and, if wanted, `defaultTtl` (seconds, -1: on, without a default) and `indexingPolicy`.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import RequestsTransport
from azure.cosmos import CosmosClient, PartitionKey

from infra.local.screen import command, complain
from shared.frame.platform.loopback import is_loopback

TOPOLOGY = Path(__file__).with_name("cosmos.json")
SETTING = "CosmosConnection"


def create(connection: str, topology: dict[str, Any]) -> list[str]:
    """Create what is missing; the names of all that is there now.

    Raises:
        azure.cosmos.exceptions.CosmosHttpResponseError: the service refuses.
        azure.core.exceptions.ServiceRequestError: nobody answers at the connection string's address.
        SystemExit: a container is there with another partition key, which cannot be changed.
    """
    endpoint = connection.partition("AccountEndpoint=")[2].partition(";")[0]
    # by hand only to say that a proxy does not lead to an engine on this computer
    transport = RequestsTransport(use_env_settings=not is_loopback(endpoint))
    with CosmosClient.from_connection_string(connection, transport=transport) as client:
        database = client.create_database_if_not_exists(topology["database"])
        for wanted in topology["containers"]:
            container = database.create_container_if_not_exists(
                wanted["id"],
                PartitionKey(wanted["partitionKey"]),
                default_ttl=wanted.get("defaultTtl"),
                indexing_policy=wanted.get("indexingPolicy"),
            )
            there = container.read()
            paths = there["partitionKey"]["paths"]
            if paths != [wanted["partitionKey"]]:
                raise SystemExit(
                    f"The container {wanted['id']} is partitioned by {paths[0]}, not by {wanted['partitionKey']}: "
                    "delete it and run again."
                )
            indexes = wanted.get("indexingPolicy")
            if wanted.get("defaultTtl") != there.get("defaultTtl") or (
                indexes is not None and _differs(indexes, there["indexingPolicy"])
            ):
                database.replace_container(
                    container,
                    PartitionKey(wanted["partitionKey"]),
                    indexing_policy=indexes,
                    default_ttl=wanted.get("defaultTtl"),
                )
    return [f"{topology['database']}/{wanted['id']}" for wanted in topology["containers"]]


def _differs(wanted: dict[str, Any], there: dict[str, Any]) -> bool:
    """Tell whether the one policy indexes something else, or in another way, than the other."""
    return _indexing(wanted) != _indexing(there)


def _indexing(policy: dict[str, Any]) -> tuple[Any, ...]:
    """Give what a policy says, with the defaults of the service and without what that adds by itself."""
    own = {'/"_etag"/?'}
    paths = ({each["path"] for each in policy.get(key, [])} - own for key in ("includedPaths", "excludedPaths"))
    composite = {
        tuple((each["path"], each.get("order", "ascending")) for each in index)
        for index in policy.get("compositeIndexes", [])
    }
    return policy.get("indexingMode", "consistent"), *paths, composite


def main() -> int:
    """Create them; the exit code."""
    connection = os.environ.get(SETTING)
    if not connection:
        print(f"Set {SETTING} to the connection string of a Cosmos DB account.", file=sys.stderr)
        return 1
    try:
        names = create(connection, json.loads(TOPOLOGY.read_text(encoding="utf-8")))
    except AzureError as error:
        complain(f"The containers could not be made: {error.message.splitlines()[0]}")
        return 1
    for name in names:
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(command(main))
