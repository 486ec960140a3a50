"""Round trips, counted where they leave this process: SQL statements and commits, requests for Cosmos documents."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import aiohttp
import sqlalchemy as sa

from shared.frame.write_side.unit_of_work import UnitOfWork

MILLI = 1_000
"""Request units are counted in thousandths, so that they add up exactly."""


STATEMENT_BY_STATEMENT = "statement_by_statement"
"""Execution option of a transaction that sends each statement, and its COMMIT, on its own, as SQLAlchemy does."""


def is_request(connection: sa.Connection, text: str) -> bool:
    """Whether a statement is a request where the database is Azure SQL.

    There each statement is one. What a unit of work writes, or a relay claims, is one batch; on SQLite it is several
    statements, and the BEGIN of their transaction stands for all of them.
    """
    alone = connection.get_execution_options().get(STATEMENT_BY_STATEMENT, False)
    if connection.dialect.name == "sqlite" and writes(connection):
        return text.startswith("BEGIN") is not alone
    return not text.startswith("BEGIN")


def writes(connection: sa.Connection) -> bool:
    """Whether it has begun a transaction that writes to SQLite."""
    return bool(connection.info.get("has_turn"))


def hearing_reads(hear: Callable[[sa.Connection], None]) -> Any:
    """Hear of each read of a unit of work on SQLite, which is no event of SQLAlchemy's.

    Gives:
        A patch, to be entered or started.
    """
    real = UnitOfWork._connect  # each connection that it gives on SQLite is for one read

    def connect(work: UnitOfWork) -> sa.Connection:
        connection = real(work)
        if connection.dialect.name == "sqlite":
            hear(connection)
        return connection

    return mock.patch.object(UnitOfWork, "_connect", connect)


@contextmanager
def counting_sql(engine: sa.Engine, counts: Counter[str]) -> Iterator[None]:
    """Count requests to the database (`sql_requests`), as Azure SQL gets them."""

    def statement(connection: sa.Connection, _cursor: object, text: str, *_: object) -> None:
        counts["sql_requests"] += is_request(connection, text)

    def read(connection: sa.Connection) -> None:
        counts["sql_requests"] += connection.engine.pool is engine.pool

    sa.event.listen(engine, "before_cursor_execute", statement)
    try:
        with hearing_reads(read):
            yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", statement)


@contextmanager
def counting_cosmos(counts: Counter[str]) -> Iterator[None]:
    """Count requests for documents (`cosmos_requests`), and thousandths of request units (`cosmos_milliunits`).

    Other requests are none of the work: a client asks once for a container's partition ranges.
    """
    real = aiohttp.ClientSession._request

    async def request(self: aiohttp.ClientSession, method: str, url: str, **options: object) -> object:
        answer = await real(self, method, url, **options)  # type: ignore[arg-type]  # handed on as it came
        if "/docs/" in url:
            counts["cosmos_requests"] += 1
            counts["cosmos_milliunits"] += round(float(answer.headers["x-ms-request-charge"]) * MILLI)
        return answer

    with mock.patch.object(aiohttp.ClientSession, "_request", request):
        yield
