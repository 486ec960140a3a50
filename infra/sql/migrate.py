"""Bring the database to the newest schema: `python -m infra.sql.migrate`, at the setting SqlConnection.

Two runs at once do no harm: the second waits for the first, and finds nothing left to do. On Azure SQL it signs in as
whoever `az login` or the environment names, and that must be the server's administrator: nobody else may alter tables.
With `--sql` it connects to nothing and prints the T-SQL that Azure SQL would get.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa
import stamina
from alembic import command
from alembic.config import Config
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy.engine import make_url

from shared.catalog import tables as catalog
from shared.customers import tables as customers
from shared.frame.operations import tables as operations
from shared.frame.sql.engines import Credential, sql_engine
from shared.frame.sql.errors import NO_TOKEN, error_number, is_transient, sqlstate
from shared.ordering import tables as ordering
from shared.payments import tables as payments

CONTEXTS = (ordering, catalog, customers, payments)
OWNERS = (*CONTEXTS, operations)
"""All that have tables, in a schema of their own."""
VERSIONS = "dbo"
"""The schema that holds Alembic's own table; no context's."""

TIMEOUT = 300.0
"""Seconds to go on trying: a paused database needs about one minute to wake up, and a migration may have to wait for
another one."""

ANOTHER_MIGRATES = 51000
"""LOCK's own error; another migration may take minutes, as one that changes a column of the logs does."""

NOT_LET_IN = 40615
"""Azure SQL's firewall has no rule for this computer, or does not know it yet: up to five minutes after it was made."""

LOCK = f"""\
SET NOCOUNT ON;
DECLARE @got int;
EXEC @got = sp_getapplock
    @Resource = N'tandem-migrations', @LockMode = 'Exclusive', @LockOwner = 'Transaction', @LockTimeout = 60000;
IF @got < 0 THROW {ANOTHER_MIGRATES}, N'Another migration has been running for more than a minute.', 1;
SET NOCOUNT OFF;"""
"""Waits until no other migration runs; given back when the transaction ends, however it ends. NOCOUNT is for this
batch, whose error would hide behind a row count; Alembic counts the rows that it changes."""


def migration_engine(url: str) -> sa.Engine:
    """Make an engine that sees every schema."""
    schemas = [VERSIONS, *(tables.SCHEMA for tables in OWNERS)]
    return sql_engine(url, *schemas, credential=_administrator(url), for_migrations=True)


def database_url(url: str, name: str | None) -> str:
    """Name another database of the same server; None: the same one."""
    return url if name is None else make_url(url).set(database=name).render_as_string(hide_password=False)


@contextmanager
def migrating(url: str) -> Iterator[sa.Connection]:
    """Give a connection for one transaction; it is closed at the end, whatever has happened."""
    engine = migration_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _administrator(url: str) -> Credential | None:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" or parsed.username is not None or "authentication" in parsed.query:
        return None
    return _signed_in()


@cache
def _signed_in() -> Credential:
    """Give the credential of whoever runs this, as patient as azure-identity makes it: Entra itself may be asked."""
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415  # takes long, and SQLite needs none

    return DefaultAzureCredential()


def take_turn(connection: sa.Connection) -> None:
    """Keep other migrations out until this transaction ends; SQLite's transactions do so by themselves."""
    if connection.dialect.name == "mssql":
        connection.exec_driver_sql(LOCK)


def alembic_config(url: str, output: TextIO = sys.stdout) -> Config:
    """Tell Alembic where the migrations and the database are."""
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


class WrongDatabaseError(Exception):
    """The database is not what its migrations say."""


def passes(error: Exception) -> bool:
    """Whether a deployment may try again: also what a running system is not to wait for; says what it waits for."""
    if isinstance(error, sa.exc.DBAPIError) and sqlstate(error) == NO_TOKEN:
        return False  # nobody has signed in here
    later = isinstance(error, sa.exc.DBAPIError) and error_number(error) in (NOT_LET_IN, ANOTHER_MIGRATES)
    # SQLAlchemy closes the first connection if that is lost while it asks what server this is, and goes on to use it
    waits = is_transient(error) or later or isinstance(error, sa.exc.ResourceClosedError)
    if waits:
        print(f"Not yet, once more in a moment: {str(error).splitlines()[0]}", file=sys.stderr)
    return waits


def attempts() -> Iterable[stamina.Attempt]:
    """Try until it works, or for TIMEOUT."""
    return stamina.retry_context(on=passes, attempts=None, timeout=TIMEOUT, wait_max=15.0)


def migrate(url: str) -> None:
    """Apply every migration that the database lacks: all of them, or after an error none.

    Raises:
        WrongDatabaseError: another release has migrated it, its own note of its version is not what Alembic expects, or
            tables are gone that migrations made.
    """
    for attempt in attempts():
        with attempt:
            try:
                command.upgrade(alembic_config(url), "head")
            except CommandError as error:
                if not isinstance(error.__cause__, ResolutionError):
                    raise WrongDatabaseError(f"The database was not migrated, and is as it was: {error}") from error
                # it names the revision that this release does not know
                raise WrongDatabaseError(
                    f"The database was migrated by a later release ({error}): start that release, or restore the "
                    "previous database (docs/operations.md, 'The database was restored')."
                ) from error
    if gone := _missing_tables(url):
        raise WrongDatabaseError(
            f"The database has lost tables: {', '.join(gone)}. What they held is nowhere else: restore the database "
            "(docs/operations.md, 'The database was restored'; on a laptop: begin with an empty data folder)."
        )


def _missing_tables(url: str) -> list[str]:
    engine = migration_engine(url)
    try:
        found = sa.inspect(engine)
        names = {tables.SCHEMA: set(found.get_table_names(schema=tables.SCHEMA)) for tables in OWNERS}
    finally:
        engine.dispose()
    return [
        str(table.fullname)
        for tables in OWNERS
        for table in tables.METADATA.sorted_tables
        if table.name not in names[tables.SCHEMA]
    ]


def migration_script(output: TextIO) -> None:
    """Write all migrations as T-SQL, without a database."""
    command.upgrade(alembic_config("mssql+pyodbc://", output), "head", sql=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sql", action="store_true", help="print T-SQL instead of connecting")
    if parser.parse_args().sql:
        migration_script(sys.stdout)
    elif url := os.environ.get("SqlConnection"):
        try:
            migrate(url)
        except WrongDatabaseError as error:
            sys.exit(str(error))
        except sa.exc.DBAPIError as error:
            sys.exit(f"The database was not migrated, and is as it was: {error.orig}")
    else:
        sys.exit("The setting SqlConnection is missing.")
