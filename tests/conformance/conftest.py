"""The engines as others get them: each from its wheel, in an environment that holds nothing else."""

from pathlib import Path

import pytest

from tests.support.alone import python_of


@pytest.fixture(scope="session")
def cosmos_engine_python() -> Path:
    return python_of("cosmos")


@pytest.fixture(scope="session")
def servicebus_engine_python() -> Path:
    return python_of("servicebus")
