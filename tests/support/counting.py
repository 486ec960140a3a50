"""Round trips, counted where they leave this process: SQL statements and commits, requests for Cosmos documents."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import aiohttp
import sqlalchemy as sa

from shared.frame.sql.sqlite import Session

MILLI = 1_000
"""Request units are counted in thousandths, so that they add up exactly."""


STATEMENT_BY_STATEMENT = "statement_by_statement"
"""Execution option of a transaction that sends each statement, and its COMMIT, on its own, as SQLAlchemy does."""


def is_request(connection: sa.Connection) -> bool:
    """Whether a statement of SQLAlchemy's is a request where the database is Azure SQL.

    There each statement is one. What a relay claims is one batch; on SQLite it is several statements, and the begin of
    their transaction stands for all of them.
    """
    return connection.dialect.name != "sqlite" or not writes(connection) or is_alone(connection)


def is_alone(connection: sa.Connection) -> bool:
    """Whether each statement of a transaction is a request, and its COMMIT."""
    return bool(connection.get_execution_options().get(STATEMENT_BY_STATEMENT))


def writes(connection: sa.Connection) -> bool:
    """Whether it has begun a transaction that writes to SQLite."""
    return bool(connection.info.get("has_turn"))


def is_batch(connection: sa.Connection) -> bool:
    """Whether the transaction that has begun would be one request."""
    return connection.dialect.name == "sqlite" and writes(connection) and not is_alone(connection)


@contextmanager
def hearing_sessions(hear: Callable[[sa.Engine], None]) -> Iterator[None]:
    """Hear of each request that goes to SQLite beneath SQLAlchemy, which has no events for it: reads, transactions."""
    cursor, transaction = Session.cursor, Session.transaction

    def reading(session: Session) -> sqlite3.Cursor:
        hear(session._engine)
        return cursor(session)

    @contextmanager
    def writing(session: Session) -> Iterator[sqlite3.Cursor]:
        try:
            with transaction(session) as writes:
                yield writes
        finally:
            hear(session._engine)  # after others may write again

    with mock.patch.object(Session, "cursor", reading), mock.patch.object(Session, "transaction", writing):
        yield


@contextmanager
def counting_sql(engine: sa.Engine, counts: Counter[str]) -> Iterator[None]:
    """Count requests to the database (`sql_requests`), as Azure SQL gets them."""

    def statement(connection: sa.Connection, *_: object) -> None:
        counts["sql_requests"] += is_request(connection)

    def begin(connection: sa.Connection) -> None:
        counts["sql_requests"] += is_batch(connection)

    def beneath(used: sa.Engine) -> None:
        counts["sql_requests"] += used.pool is engine.pool

    sa.event.listen(engine, "before_cursor_execute", statement)
    sa.event.listen(engine, "begin", begin)
    try:
        with hearing_sessions(beneath):
            yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", statement)
        sa.event.remove(engine, "begin", begin)


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
