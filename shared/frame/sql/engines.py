"""SQL engines: SQLite files on a laptop, Azure SQL through a managed identity, told apart by the URL alone."""

import struct
import time
from typing import Any, Protocol

import sqlalchemy as sa
from azure.core.exceptions import AzureError
from sqlalchemy.engine import URL, make_url

from shared.frame.platform.identity import credential
from shared.frame.platform.settings import Settings
from shared.frame.sql.azure_sql import tell_of_azure_sql
from shared.frame.sql.errors import LOST, NO_TOKEN, TIMED_OUT, sqlstate, withhold_values
from shared.frame.sql.odbc import KeptCursors, declared
from shared.frame.sql.sqlite_engine import sqlite_engine

TOKEN_SCOPE = "https://database.windows.net/.default"  # noqa: S105  # the name of a scope, not a token
SQL_COPT_SS_ACCESS_TOKEN = 1256
"""Connection attribute of the ODBC driver that takes an access token (msodbcsql.h)."""

POOL_SIZE = 16
"""Connections of a process to a database, for all of its threads."""

STATEMENT_TIMEOUT = 10
"""Seconds that Azure SQL has for a statement, which may wait for another's lock; the driver by itself waits for ever. A
command's statements have only the time that is left until its deadline. A request to a server that does not answer at
all ends after three times as long (shared/frame/write_side/unit_of_work.py)."""

POOL_TIMEOUT = 2
"""Seconds that a request waits for a connection of the pool before it is refused."""

_POOL: dict[str, Any] = {
    "pool_size": POOL_SIZE,
    "max_overflow": 0,
    "pool_timeout": POOL_TIMEOUT,
    "pool_use_lifo": True,  # most of the time a few connections are enough, and then their caches fill
    "hide_parameters": True,  # errors are logged, and parameters hold names and addresses
}

SIGN_IN_TIMEOUT, LOGIN_TIMEOUT = 3, 2
"""Seconds that a new connection to Azure SQL may take with its access token, and that the login has of them at most."""

CONNECTION_LIFE = 1_800
"""Seconds until a pooled connection is replaced: its token lives an hour, and is checked only when it connects."""


class Token(Protocol):
    """An access token, as credentials give it: the part of azure.core.credentials.AccessToken that is needed."""

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
    for_migrations: bool = False,
) -> sa.Engine:
    """Make the engine for one context's schema, or several; nothing connects until it is used.

    Args:
        url: SQLAlchemy URL. A SQLite file `tandem.db` keeps each schema in a file of its own, `tandem.<schema>.db`, so
            that the contexts do not wait for each other's writes, as they do not on Azure SQL.
        schemas: the schemas that its statements name.
        credential: signs in to Azure SQL; None leaves that to the URL.
        writes: False makes SQLite refuse writes; on Azure SQL the identity's rights decide.
        for_migrations: on Azure SQL, begin transactions, and let a statement take as long as it needs. Otherwise each
        statement is its own transaction, and a unit of work sends its statements as one.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return sqlite_engine(parsed, schemas, _POOL, writes=writes)
    return _azure_sql(parsed, credential, for_migrations=for_migrations)


def context_engine(settings: Settings, schema: str) -> sa.Engine:
    """Make the engine of one context's command side: as its identity, unless the URL signs in by itself."""
    return sql_engine(settings.sql, schema, credential=_credential(settings.sql, settings.command_client_id))


def query_engine(settings: Settings, schema: str) -> sa.Engine:
    """Make the engine by which a context's query side reads: as an identity that cannot write."""
    credential = _credential(settings.sql, settings.view_client_id)
    return sql_engine(settings.sql, schema, credential=credential, writes=False)


def _credential(address: str, client_id: str | None) -> Credential | None:
    url = make_url(address)
    if url.get_backend_name() == "sqlite" or url.username is not None or "authentication" in url.query:
        return None
    return credential(client_id)


def _azure_sql(url: URL, credential: Credential | None, *, for_migrations: bool) -> sa.Engine:
    import pyodbc  # noqa: PLC0415  # needs the system's unixODBC, which only Azure SQL is worth

    pyodbc.pooling = False  # SQLAlchemy pools; a second pool beneath would keep connections whose token has run out
    requests: dict[str, Any] = (
        {}
        if for_migrations
        else {
            # nothing but the statements themselves is sent: no begin, no rollback, no ping
            "isolation_level": "AUTOCOMMIT",
            "skip_autocommit_rollback": True,
            "pool_reset_on_return": None,
        }
    )
    engine = sa.create_engine(
        url,
        pool_recycle=CONNECTION_LIFE,
        connect_args={"timeout": LOGIN_TIMEOUT, "autocommit": not for_migrations},
        **_POOL,
        **requests,
    )

    if credential is not None:

        @sa.event.listens_for(engine, "do_connect")
        def _sign_in(_dialect: Any, _record: Any, arguments: list[Any], parameters: dict[str, Any]) -> None:
            # the driver refuses a token beside any other way to sign in (FA005), and SQLAlchemy adds one
            arguments[0] = arguments[0].replace(";Trusted_Connection=Yes", "")
            began = time.monotonic()
            try:
                token = credential.get_token(TOKEN_SCOPE).token
            except (AzureError, ValueError) as error:  # ValueError: the token's source did not answer with JSON
                raise pyodbc.OperationalError(NO_TOKEN, f"[{NO_TOKEN}] no access token: {error}") from error
            parameters["attrs_before"] = {SQL_COPT_SS_ACCESS_TOKEN: packed(token)}
            if not for_migrations:  # they have time, and az on a laptop takes long
                left = int(SIGN_IN_TIMEOUT - (time.monotonic() - began))
                parameters["timeout"] = max(1, min(left, LOGIN_TIMEOUT))  # 0 would be for ever

    @sa.event.listens_for(engine, "handle_error")
    def _keep_the_others(context: sa.engine.ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if isinstance(error, sa.exc.DBAPIError):
            withhold_values(error)
        if isinstance(error, sa.exc.DBAPIError) and sqlstate(error) in LOST | TIMED_OUT:
            context.is_disconnect = True
            # a slow statement says nothing about other connections
            context.invalidate_pool_on_disconnect = sqlstate(error) in LOST

    if not for_migrations:
        _send_each_alone(engine, pyodbc.BinaryNull)
    return engine


def _send_each_alone(engine: sa.Engine, null: object) -> None:
    """Send each statement as one request, with its own time-out and declared parameters, and nothing else."""
    dialect: Any = engine.dialect
    tell_of_azure_sql(dialect)
    connect = dialect.connect
    dialect.connect = lambda *address, **options: KeptCursors(connect(*address, **options), null, LOGIN_TIMEOUT)

    @sa.event.listens_for(engine, "before_cursor_execute")
    def _limit(connection: sa.Connection, cursor: Any, *_: Any) -> None:
        cursor.timeout = connection.get_execution_options().get("statement_timeout", STATEMENT_TIMEOUT)

    @sa.event.listens_for(engine, "checkin")
    def _come_back(connection: Any, record: sa.pool.ConnectionPoolEntry) -> None:
        if isinstance(connection, KeptCursors):
            try:
                connection.come_back()
            except dialect.loaded_dbapi.Error as error:
                record.invalidate(error)  # raised from here, it would cost the connection's place in the pool

    @sa.event.listens_for(engine, "do_setinputsizes")
    def _declare(sizes: dict[Any, Any], *_: Any) -> None:
        for bind in sizes:
            sizes[bind] = declared(bind.type)


def packed(token: str) -> bytes:
    """Write a token as the driver wants it: its length in bytes, then UTF-16."""
    encoded = token.encode("utf-16-le")
    return struct.pack(f"<I{len(encoded)}s", len(encoded), encoded)
