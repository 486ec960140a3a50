"""Round trips, counted where they leave this process: SQL statements and commits, requests for Cosmos documents."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import aiohttp
import sqlalchemy as sa

from shared.frame.sql.sqlite import Session

MILLI = 1_000
"""Request units are counted in thousandths, so that they add up exactly."""


STATEMENT_BY_STATEMENT = "statement_by_statement"
"""Execution option of a transaction that sends each statement, and its COMMIT, on its own, as SQLAlchemy does."""


def is_alone(connection: sa.Connection) -> bool:
    """Whether each statement of a transaction is a request, and its COMMIT."""
    return bool(connection.get_execution_options().get(STATEMENT_BY_STATEMENT))


def writes(connection: sa.Connection) -> bool:
    """Whether it has begun a transaction that writes to SQLite."""
    return bool(connection.info.get("has_turn"))


type Hear = Callable[[sa.Engine, sa.Connection | None], None]
"""Hears of a request to the database: of which engine, and on which connection of SQLAlchemy's, if on one."""


@contextmanager
def hearing_requests(engines: sa.Engine | type[sa.Engine], hear: Hear) -> Iterator[None]:
    """Hear of each request that Azure SQL would get.

    There each statement is one. What a unit of work writes, or a relay claims, is one batch; on SQLite it is several
    statements, and the end of their transaction stands for all of them.
    """

    def is_batch(connection: sa.Connection) -> bool:
        return connection.dialect.name == "sqlite" and writes(connection) and not is_alone(connection)

    def statement(connection: sa.Connection, *_: object) -> None:
        if not is_batch(connection):
            hear(connection.engine, connection)

    def commit(connection: sa.Connection) -> None:
        if is_alone(connection) or is_batch(connection):
            hear(connection.engine, connection)

    def rollback(connection: sa.Connection) -> None:
        if is_batch(connection):
            hear(connection.engine, connection)

    listeners = {"before_cursor_execute": statement, "commit": commit, "rollback": rollback}
    for name, listener in listeners.items():
        sa.event.listen(engines, name, listener)
    try:
        with _hearing_sessions(engines, hear):
            yield
    finally:
        for name, listener in listeners.items():
            sa.event.remove(engines, name, listener)


@contextmanager
def _hearing_sessions(engines: sa.Engine | type[sa.Engine], hear: Hear) -> Iterator[None]:
    """Hear of reads and transactions beneath SQLAlchemy, which has no events for them."""
    cursor, transaction = Session.cursor, Session.transaction

    def heard(session: Session) -> None:
        if isinstance(engines, type) or session._engine.pool is engines.pool:
            hear(session._engine, None)

    def reading(session: Session) -> sqlite3.Cursor:
        found = cursor(session)
        heard(session)
        return found

    @contextmanager
    def writing(session: Session) -> Iterator[sqlite3.Cursor]:
        try:
            with transaction(session) as writes:
                yield writes
        finally:
            heard(session)  # after others may write again

    with mock.patch.object(Session, "cursor", reading), mock.patch.object(Session, "transaction", writing):
        yield


@contextmanager
def counting_sql(engine: sa.Engine, counts: Counter[str]) -> Iterator[None]:
    """Count requests to the database (`sql_requests`), as Azure SQL gets them."""

    def count(*_: object) -> None:
        counts["sql_requests"] += 1

    with hearing_requests(engine, count):
        yield


@contextmanager
def counting_cosmos(counts: Counter[str]) -> Iterator[None]:
    """Count requests for documents (`cosmos_requests`), and thousandths of request units (`cosmos_milliunits`).

    `cosmos_read_milliunits` are those of them for point reads and queries; `cosmos_queries` are the queries alone.

    Other requests are none of the work: a client asks once for a container's partition ranges.
    """
    real = aiohttp.ClientSession._request

    async def request(self: aiohttp.ClientSession, method: str, url: str, **options: Any) -> object:
        answer = await real(self, method, url, **options)
        if "/docs/" in url:
            counts["cosmos_requests"] += 1
            charge = round(float(answer.headers["x-ms-request-charge"]) * MILLI)
            counts["cosmos_milliunits"] += charge
            is_query = "x-ms-documentdb-isquery" in options["headers"]
            counts["cosmos_queries"] += is_query
            if method == "GET" or is_query:
                counts["cosmos_read_milliunits"] += charge
        return answer

    with mock.patch.object(aiohttp.ClientSession, "_request", request):
        yield
