"""`python -m infra.local.containers`: create the database and the containers of infra/local/cosmos.json.

Through the real client, at the connection string in the environment setting `CosmosConnection`, so it serves the
engine, the official emulator and Azure alike; run again it changes nothing. The file has `database` and `containers`,
each with `id`, `partitionKey` and, if wanted, `defaultTtl` (seconds, -1: on, without a default) and `indexingPolicy`.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from azure.cosmos import CosmosClient, PartitionKey

TOPOLOGY = Path(__file__).with_name("cosmos.json")
SETTING = "CosmosConnection"


def create(connection: str, topology: dict[str, Any]) -> list[str]:
    """Create what is missing; the names of all that is there now.

    Raises:
        azure.cosmos.exceptions.CosmosHttpResponseError: the service refuses.
        azure.core.exceptions.ServiceRequestError: nobody answers at the connection string's address.
        SystemExit: a container is there with another partition key, which cannot be changed.
    """
    with CosmosClient.from_connection_string(connection) as client:
        database = client.create_database_if_not_exists(topology["database"])
        for wanted in topology["containers"]:
            container = database.create_container_if_not_exists(
                wanted["id"],
                PartitionKey(wanted["partitionKey"]),
                default_ttl=wanted.get("defaultTtl"),
                indexing_policy=wanted.get("indexingPolicy"),
            )
            paths = container.read()["partitionKey"]["paths"]
            if paths != [wanted["partitionKey"]]:
                raise SystemExit(
                    f"The container {wanted['id']} is partitioned by {paths[0]}, not by {wanted['partitionKey']}: "
                    "delete it and run again."
                )
    return [f"{topology['database']}/{wanted['id']}" for wanted in topology["containers"]]


def main() -> int:
    """Create them; the exit code."""
    connection = os.environ.get(SETTING)
    if not connection:
        print(f"Set {SETTING} to the connection string of a Cosmos DB account.", file=sys.stderr)
        return 1
    for name in create(connection, json.loads(TOPOLOGY.read_text(encoding="utf-8"))):
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
