"""The fixture `servicebus_engine`, which pytest finds wherever this package is installed."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servicebus_engine.running import Engine, running


@pytest.fixture(scope="session")
def servicebus_engine_python() -> Path:
    """The interpreter that runs the engine: override it where the engine has an environment of its own."""
    return Path(sys.executable)


@pytest.fixture(scope="session")
def servicebus_engine_config() -> dict[str, Any] | Path:
    """The entities, as the official emulator's Config.json has them, or the path of such a file: override it."""
    raise pytest.UsageError(
        "Which queues and topics should the Service Bus engine have? Write a session fixture servicebus_engine_config "
        "into conftest.py, which returns the path of a Config.json or what would be in one."
    )


@pytest.fixture(scope="session")
def servicebus_engine(
    servicebus_engine_config: dict[str, Any] | Path,
    servicebus_engine_python: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Engine]:
    """A Service Bus engine on a free port and a temporary folder, with the entities of `servicebus_engine_config`."""
    data = tmp_path_factory.mktemp("servicebus-engine")
    with running(servicebus_engine_config, data, servicebus_engine_python) as engine:
        yield engine
