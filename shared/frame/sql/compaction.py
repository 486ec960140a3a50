"""Removes what was erased from SQLite files, for good."""

import sqlite3
from typing import Any

import sqlalchemy as sa

from shared.frame.sql.reading import read_from


class Compaction:
    """Removes what was erased from SQLite files, at each tick of a timer.

    SQLite leaves copies of rows in a file where it has moved them, even if it overwrites what is deleted; only a file
    that is written anew has none. That is done once after an erasure, and by each process that may follow one that
    died between an erasure and this. At the other ticks the write-ahead log is emptied.
    """

    def __init__(self, erased: sa.Select[int]) -> None:
        """Prepare.

        Args:
            erased: counts what is erased.
        """
        self._erased = erased
        self._compacted_at = 0

    def run(self, engine: sa.Engine) -> None:
        """Do what is needed now; raises as `compact`."""
        if engine.dialect.name != "sqlite":
            return
        erased = read_from(engine, lambda connection: connection.execute(self._erased).scalar_one())
        if erased == self._compacted_at:
            _empty_write_ahead_log(engine)
        else:
            compact(engine)
            self._compacted_at = erased


def compact(engine: sa.Engine) -> None:
    """Remove deleted and replaced values from a SQLite file: its pages and write-ahead log still have them.

    On Azure SQL there is nothing to do: it cleans up deleted rows and reuses its log by itself (docs/privacy.md).

    Raises:
        sqlite3.OperationalError: other transactions kept the file in use, so that some of it may still be there.
    """
    _in_each_file(engine, "VACUUM {}")
    if not _empty_write_ahead_log(engine):
        raise sqlite3.OperationalError("the write-ahead log was in use")


def _empty_write_ahead_log(engine: sa.Engine) -> bool:
    """Let a SQLite file forget how rows were before they changed; tell whether nobody used its write-ahead log."""
    return not any(busy for busy, _, _ in _in_each_file(engine, "PRAGMA {}.wal_checkpoint(TRUNCATE)"))


def _in_each_file(engine: sa.Engine, statement: str) -> list[tuple[Any, ...]]:
    if engine.dialect.name != "sqlite":
        return []
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        files = [name for _, name, file in cursor.execute("PRAGMA database_list").fetchall() if file]
        return [row for name in files for row in cursor.execute(statement.format(name)).fetchall()]
    finally:
        connection.close()
