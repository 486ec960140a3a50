"""The product's engine on Microsoft's driver, against a server that runs no SQL (tests/support/tds)."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from shared.frame.sql.engines import sql_engine
from shared.frame.write_side.commands import WriteSide
from shared.ordering.tables import LOG
from tests.support.azure_sql import Azure
from tests.support.tds import Server, tds_server


@pytest.fixture
def server() -> Iterator[Server]:
    with tds_server(Azure()) as running:
        yield running


@pytest.fixture
def engine(server: Server) -> Iterator[sa.Engine]:
    engine = sql_engine(server.url, "ordering")
    with engine.connect():
        server.forget()
    yield engine
    engine.dispose()


@pytest.fixture
def orders(engine: sa.Engine) -> WriteSide:
    return WriteSide(engine, LOG, committed=lambda: None)
