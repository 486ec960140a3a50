"""The fixture `cosmos_engine`, which pytest finds wherever this package is installed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos_engine.running import Engine, running


@pytest.fixture(scope="session")
def cosmos_engine_python() -> Path:
    """The interpreter that runs the engine: override it where the engine has an environment of its own."""
    return Path(sys.executable)


@pytest.fixture(scope="session")
def cosmos_engine(cosmos_engine_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A Cosmos DB engine on a free port and a temporary folder; it has no database yet."""
    with running(tmp_path_factory.mktemp("cosmos-engine"), cosmos_engine_python) as engine:
        yield engine
