"""Bring the database to the newest schema: `python -m infra.sql.migrate`, at the setting SqlConnection.

Two runs at once do no harm: the second waits for the first, and finds nothing left to do. On Azure SQL it signs in as
whoever `az login` or the environment names, and that must be the server's administrator: nobody else may alter tables.
With `--sql` it connects to nothing and prints the T-SQL that Azure SQL would get.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa
import stamina
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

from shared.catalog import tables as catalog
from shared.customers import tables as customers
from shared.operations import tables as operations
from shared.ordering import tables as ordering
from shared.platform.identity import credential
from shared.platform.sql import Credential, is_transient, sql_engine

CONTEXTS = (ordering, catalog, customers)
OWNERS = (*CONTEXTS, operations)
"""All that have tables, in a schema of their own."""
VERSIONS = "dbo"
"""The schema that holds Alembic's own table; no context's."""

PATIENCE = 300.0
"""Seconds to go on trying: a paused database needs about one minute to wake up, and a migration may have to wait for
another one."""

LOCK = """\
SET NOCOUNT ON;
DECLARE @got int;
EXEC @got = sp_getapplock
    @Resource = N'tandem-migrations', @LockMode = 'Exclusive', @LockOwner = 'Transaction', @LockTimeout = 60000;
IF @got < 0 THROW 51000, N'Another migration has been running for more than a minute.', 1;"""
"""Waits until no other migration runs; given back when the transaction ends, however it ends."""


def migration_engine(url: str) -> sa.Engine:
    """Make an engine that sees every schema."""
    schemas = [VERSIONS, *(tables.SCHEMA for tables in OWNERS)]
    return sql_engine(url, *schemas, credential=_administrator(url), patience=0)


def _administrator(url: str) -> Credential | None:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" or parsed.username is not None or "authentication" in parsed.query:
        return None
    return credential(os.environ.get("AZURE_CLIENT_ID"))


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


def migrate(url: str) -> None:
    """Apply every migration that the database lacks: all of them, or after an error none."""
    for attempt in stamina.retry_context(on=is_transient, attempts=None, timeout=PATIENCE, wait_max=15.0):
        with attempt:
            command.upgrade(alembic_config(url), "head")


def migration_script(output: TextIO) -> None:
    """Write all migrations as T-SQL, without a database."""
    command.upgrade(alembic_config("mssql+pyodbc://", output), "head", sql=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sql", action="store_true", help="print T-SQL instead of connecting")
    if parser.parse_args().sql:
        migration_script(sys.stdout)
    elif url := os.environ.get("SqlConnection"):
        migrate(url)
    else:
        sys.exit("The setting SqlConnection is missing.")
