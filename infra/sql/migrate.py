"""Bring the database to the newest schema: `python -m infra.sql.migrate`, at the setting SqlConnection.

With `--sql` it connects to nothing and prints the T-SQL that Azure SQL would get.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from shared.catalog import tables as catalog
from shared.customers import tables as customers
from shared.ordering import tables as ordering
from shared.platform.sql import sql_engine

CONTEXTS = (ordering, catalog, customers)
VERSIONS = "dbo"
"""The schema that holds Alembic's own table; no context's."""


def migration_engine(url: str) -> sa.Engine:
    """Make an engine that sees every context's schema."""
    return sql_engine(url, VERSIONS, *(tables.SCHEMA for tables in CONTEXTS))


def alembic_config(url: str, output: TextIO = sys.stdout) -> Config:
    """Tell Alembic where the migrations and the database are."""
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def migrate(url: str) -> None:
    """Apply every migration that the database lacks."""
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
