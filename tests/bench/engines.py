"""The engines of the laptop, each a process of its own, and the app's settings for them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from infra.local.containers import TOPOLOGY, create
from tests.support.cosmos import running_cosmos
from tests.support.servicebus import running_servicebus

ROOT = Path(__file__).parents[2]


@contextmanager
def engines() -> Iterator[tuple[str, str]]:
    """Start a Cosmos engine with the product's containers and a Service Bus engine; their connection strings."""
    with running_cosmos() as cosmos, running_servicebus() as service_bus:
        create(cosmos, json.loads(TOPOLOGY.read_text(encoding="utf-8")))
        yield cosmos, service_bus


def settings(sql: str, cosmos: str, service_bus: str) -> dict[str, str]:
    """The settings of the app: a laptop's, with these stores."""
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    return {**sample, "SqlConnection": sql, "CosmosConnection": cosmos, "ServiceBusConnection": service_bus}


def empty_database(cosmos: str) -> str:
    """Create a database with the product's containers; its name."""
    name = f"bench-{uuid4()}"
    create(cosmos, json.loads(TOPOLOGY.read_text(encoding="utf-8")) | {"database": name})
    return name
