"""Where tests keep the write side: SQLite files of each test's own, or the server that CONFORMANCE_SQL names.

CONFORMANCE_SQL is SQLAlchemy's URL of an empty database. The run makes the schema there, each test begins with empty
tables, and the end of the run takes everything away again. One process at a time: `dev.py test -n0 ...`.
"""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa

from infra.sql.migrate import OWNERS, VERSIONS, migrate, migration_engine

SERVER = os.environ.get("CONFORMANCE_SQL")
MIGRATED = {SERVER: False}
"""Whether the server's database is as the migrations leave it, and no test has changed that."""


def needs_sqlite(reason: str) -> pytest.MarkDecorator:
    """Leave a test out on a server: it is about SQLite."""
    return pytest.mark.skipif(SERVER is not None, reason=reason)


def empty_database(folder: Path) -> str:
    """Give the URL of a database as the migrations leave it, with nothing in it."""
    if SERVER is None:
        return sqlite_database(folder)
    if not MIGRATED[SERVER]:
        url = unmigrated_database(folder)
        migrate(url)
        MIGRATED[SERVER] = True
        return url
    engine = migration_engine(SERVER)
    with engine.begin() as connection:
        for owner in OWNERS:
            for table in reversed(owner.METADATA.sorted_tables):
                # a log that is emptied otherwise goes on with its numbers
                is_log = any(column.identity is not None for column in table.columns)
                connection.execute(sa.text(f"TRUNCATE TABLE {table.fullname}") if is_log else sa.delete(table))
    engine.dispose()
    return SERVER


def sqlite_database(folder: Path) -> str:
    """Give the same of SQLite's, whatever CONFORMANCE_SQL says."""
    shutil.copytree(_migrated_files(), folder, dirs_exist_ok=True)
    return f"sqlite:///{folder / 'tandem.db'}"


@cache
def _migrated_files() -> Path:
    """Migrate once in this process: that takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="migrated-"))
    atexit.register(shutil.rmtree, folder)
    migrate(f"sqlite:///{folder / 'tandem.db'}")
    return folder


def unmigrated_database(folder: Path) -> str:
    """Give the URL of a database without any table of ours; what a test makes of it no other test sees."""
    if SERVER is None:
        return f"sqlite:///{folder / 'tandem.db'}"
    _make_sure_that_it_is_nobodys(SERVER)
    _take_everything_away(SERVER)
    MIGRATED[SERVER] = False
    return SERVER


@cache
def _make_sure_that_it_is_nobodys(url: str) -> None:
    engine = migration_engine(url)
    tables = sa.inspect(engine).get_table_names(schema=VERSIONS)
    engine.dispose()
    if "alembic_version" in tables:
        raise RuntimeError("CONFORMANCE_SQL names a database that is in use: everything in it would be deleted")
    atexit.register(_take_everything_away, url)


def _take_everything_away(url: str) -> None:
    engine = migration_engine(url)
    with engine.begin() as connection:
        for owner in OWNERS:
            for table in reversed(owner.METADATA.sorted_tables):
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table.fullname}")
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {owner.SCHEMA}")
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {VERSIONS}.alembic_version")
    engine.dispose()
