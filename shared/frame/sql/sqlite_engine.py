"""The engine of SQLite files: a file for each schema, and one connection that writes at a time."""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from shared.frame.sql.sqlite import BUSY_TIMEOUT, begin_writing, end_turn

SQLITE_CACHE = 256
"""KiB of a file that a SQLite connection keeps in memory; its usual 2 MiB would fill for hours, on all of them."""


def sqlite_engine(url: URL, schemas: Sequence[str], pool: Mapping[str, Any], *, writes: bool) -> sa.Engine:
    """Make the engine; nothing connects until it is used.

    Args:
        url: names the file `tandem.db`; the schemas lie beside it.
        schemas: what its statements name, each a file of its own, `tandem.<schema>.db`.
        pool: SQLAlchemy's options of the pool.
        writes: False lets the files refuse writes.
    """
    file = Path(url.database or "")
    files = [file.parent / f"{file.stem}.{schema}{file.suffix}" for schema in schemas]
    turn = threading.Lock()
    engine = sa.create_engine(
        "sqlite://",
        poolclass=sa.QueuePool,
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": BUSY_TIMEOUT},
        **pool,
    )

    @sa.event.listens_for(engine, "connect")
    def _attach(connection: sqlite3.Connection, record: sa.pool.ConnectionPoolEntry) -> None:
        for schema, attached in zip(schemas, files, strict=True):
            connection.execute(f"ATTACH DATABASE ? AS {schema}", (str(attached),))
            connection.execute(f"PRAGMA {schema}.journal_mode = WAL")
            # survives a killed process; only a power cut can undo the last commits, and this is no production store
            connection.execute(f"PRAGMA {schema}.synchronous = NORMAL")
            connection.execute(f"PRAGMA {schema}.cache_size = -{SQLITE_CACHE}")
            # overwrites replaced data in the file: it may be personal data of an erased person
            connection.execute(f"PRAGMA {schema}.secure_delete = ON")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA query_only = {not writes}")
        record.info["files"] = _files(files)
        record.info["turn"] = turn

    @sa.event.listens_for(engine, "checkout")
    def _is_there(_connection: Any, record: sa.pool.ConnectionPoolEntry, _proxy: Any) -> None:
        # SQLite goes on using a deleted file, and all later writes would be lost with the process
        if record.info["files"] != _files(files):
            raise sa.exc.DisconnectionError("another file has the name of the database")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("reads_only"):
            connection.connection.cursor().execute("BEGIN")  # takes no lock yet, and so cannot fail
        else:
            begin_writing(connection.connection)

    @sa.event.listens_for(engine, "checkin")
    def _end_turn(_connection: Any, record: sa.pool.ConnectionPoolEntry) -> None:
        end_turn(record.info)

    return engine


def _files(names: Sequence[Path]) -> list[int]:
    """Give the inode numbers of these files; 0 if there is no such file."""
    return [_inode(name) for name in names]


def _inode(name: Path) -> int:
    try:
        return name.stat().st_ino
    except FileNotFoundError:
        return 0
