"""The tests' own TDS server, as it answers unless it is told otherwise."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import pytest

from tests.support.tds import Server, tds_server

UPDATE = "UPDATE orders SET name = ?"
ID = UUID("0f0e0d0c-0b0a-4908-8706-050403020100")
NOON = datetime(2026, 11, 28, 12, 0, 0, 123_456)  # noqa: DTZ001  # datetime2 has no zone


@pytest.fixture
def server() -> Iterator[Server]:
    with tds_server() as running:
        yield running
