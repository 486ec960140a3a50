"""SQL engines: SQLite files on a laptop, Azure SQL through a managed identity, told apart by the URL alone."""

import re
import sqlite3
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from shared.platform.identity import credential
from shared.platform.settings import Settings

TOKEN_SCOPE = "https://database.windows.net/.default"  # noqa: S105  # the name of a scope, not a token
SQL_COPT_SS_ACCESS_TOKEN = 1256
"""Connection attribute of the ODBC driver that takes an access token (msodbcsql.h)."""

POOL_SIZE = 16
POOL_PATIENCE = 5
"""Seconds that a request waits for a connection before it is told to come back later."""

SQLITE_PATIENCE = 3
"""Seconds that a SQLite transaction waits for its turn to write; who asked tries again, or is told to."""

SQLITE_CACHE = 256
"""KiB of a file that a SQLite connection keeps in memory; its usual 2 MiB would fill for hours, on all of them."""

STATEMENT_PATIENCE = 10
"""Seconds that Azure SQL has for a statement, which may wait for another's lock; the driver itself never gives up."""

CONNECTION_LIFE = 1_800
"""Seconds until a pooled connection is replaced: its token lives an hour, and is checked only when it connects."""

TRANSIENT = frozenset(
    {
        *(64, 233, 1204, 1205, 1222, 4060, 4221, 10053, 10054, 10060, 10928, 10929, 40143, 40197, 40501, 40540, 40613),
        *(42108, 42109, 49918, 49919, 49920),
    }
)
"""Azure SQL's error numbers that a whole new transaction may well not meet again: lost connections, deadlock (1205),
failover (40613), throttling. From Microsoft's list of transient errors."""

AWAY = frozenset({"08001", "08S01", "HYT00", "HYT01"})
"""SQLSTATEs of a server out of reach, a lost link and time-outs; the driver gives these no number of Azure's."""

_NATIVE_ERROR = re.compile(r"\((\d+)\) \(SQL")


class Token(Protocol):
    """What a credential gives; of azure.core.credentials.AccessToken only this is needed."""

    @property
    def token(self) -> str:
        """The token itself, a secret."""


class Credential(Protocol):
    """Something that gives access tokens, as azure.identity's credentials do; it caches and refreshes them."""

    def get_token(self, *scopes: str) -> Token:
        """Give a token that is valid for some time yet."""


def sql_engine(
    url: str,
    *schemas: str,
    credential: Credential | None = None,
    writes: bool = True,
    patience: int = STATEMENT_PATIENCE,
) -> sa.Engine:
    """Make the engine for one context's schema, or several; nothing connects until it is used.

    Args:
        url: SQLAlchemy URL. A SQLite file `tandem.db` keeps each schema in a file of its own, `tandem.<schema>.db`, so
            that the contexts do not wait for each other's writes, as they do not on Azure SQL.
        schemas: the schemas that its statements name.
        credential: signs in to Azure SQL; None leaves that to the URL.
        writes: False lets SQLite refuse to; on Azure SQL that is for the credential's rights to say.
        patience: seconds that Azure SQL has for a statement; 0 is as long as it takes, which is for migrations.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, schemas, writes=writes)
    return _azure_sql(parsed, credential, patience)


def context_engine(settings: Settings, schema: str) -> sa.Engine:
    """Make the engine of one context's command side: as its identity, unless the URL signs in by itself."""
    return sql_engine(settings.sql, schema, credential=_credential(settings.sql, settings.command_client_id))


def query_engine(settings: Settings, schema: str) -> sa.Engine:
    """Make the engine by which a context's query side reads: as an identity that cannot write."""
    credential = _credential(settings.sql, settings.view_client_id)
    return sql_engine(settings.sql, schema, credential=credential, writes=False).execution_options(reads_only=True)


def _credential(address: str, client_id: str | None) -> Credential | None:
    url = make_url(address)
    if url.get_backend_name() == "sqlite" or url.username is not None or "authentication" in url.query:
        return None
    return credential(client_id)


def is_transient(error: BaseException) -> bool:
    """Whether a new transaction may succeed where this one failed."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    if error.connection_invalidated or error_number(error) in TRANSIENT or _sqlstate(error) in AWAY:
        return True
    return "database is locked" in str(error.orig)


def error_number(error: sa.exc.DBAPIError) -> int | None:
    """Azure SQL's own number of an error, as the ODBC driver writes it into the message."""
    found = _NATIVE_ERROR.search(str(error.orig))
    return int(found[1]) if found else None


def _sqlstate(error: sa.exc.DBAPIError) -> str:
    arguments = error.orig.args if error.orig is not None else ()
    return str(arguments[0]) if arguments else ""


def _sqlite(url: URL, schemas: Sequence[str], *, writes: bool) -> sa.Engine:
    file = Path(url.database or "")
    engine = sa.create_engine(
        "sqlite://",
        poolclass=sa.QueuePool,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_PATIENCE,
        pool_use_lifo=True,  # a few connections do it at most times; theirs are the caches that fill
        hide_parameters=True,  # errors are logged, and parameters are people's names and addresses
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": SQLITE_PATIENCE},
    )

    @sa.event.listens_for(engine, "connect")
    def _attach(connection: sqlite3.Connection, _record: Any) -> None:
        for schema in schemas:
            connection.execute(f"ATTACH DATABASE ? AS {schema}", (str(file.with_suffix(f".{schema}{file.suffix}")),))
            connection.execute(f"PRAGMA {schema}.journal_mode = WAL")
            # survives a killed process; only a power cut can undo the last commits, and this is no production store
            connection.execute(f"PRAGMA {schema}.synchronous = NORMAL")
            connection.execute(f"PRAGMA {schema}.cache_size = -{SQLITE_CACHE}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA query_only = {not writes}")

    # SQLite lets writers wait by polling, which starves some of them for seconds; a lock lets them in one by one.
    turn = threading.Lock()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        reads_only = connection.get_execution_options().get("reads_only")
        if not (reads_only or connection.info.get("has_turn")):
            connection.info["has_turn"] = turn.acquire(timeout=SQLITE_PATIENCE)
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    @sa.event.listens_for(engine, "checkin")
    def _end_turn(_connection: Any, record: sa.pool.ConnectionPoolEntry) -> None:
        if record.info.pop("has_turn", False):
            turn.release()

    return engine


def _azure_sql(url: URL, credential: Credential | None, patience: int) -> sa.Engine:
    import pyodbc  # noqa: PLC0415  # needs the system's unixODBC, which only Azure SQL is worth

    pyodbc.pooling = False  # SQLAlchemy pools; a second pool beneath would keep connections whose token has run out
    engine = sa.create_engine(
        url,
        fast_executemany=True,
        hide_parameters=True,  # as above
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_PATIENCE,
        pool_use_lifo=True,  # as above
        pool_pre_ping=True,
        pool_recycle=CONNECTION_LIFE,
    )

    @sa.event.listens_for(engine, "connect")
    def _limit(connection: Any, _record: Any) -> None:
        connection.timeout = patience

    if credential is not None:

        @sa.event.listens_for(engine, "do_connect")
        def _sign_in(_dialect: Any, _record: Any, arguments: list[Any], parameters: dict[str, Any]) -> None:
            # the driver refuses a token beside any other way to sign in (FA005), and SQLAlchemy adds one
            arguments[0] = arguments[0].replace(";Trusted_Connection=Yes", "")
            parameters["attrs_before"] = {SQL_COPT_SS_ACCESS_TOKEN: packed(credential.get_token(TOKEN_SCOPE).token)}

    return engine


def packed(token: str) -> bytes:
    """Write a token as the driver wants it: its length in bytes, then UTF-16."""
    encoded = token.encode("utf-16-le")
    return struct.pack(f"<I{len(encoded)}s", len(encoded), encoded)
