"""The data that must outlive the process, in one SQLite file.

Every change is written in the transaction that is open, and `commit` ends it. The broker commits when it has dealt
with everything that arrived together and before any byte of an answer reaches a socket, so that nothing is
acknowledged that a killed process could forget, and many transfers share one transaction.

The journal is a write-ahead log with `synchronous=NORMAL`: a commit survives the death of the process at any moment,
but the last commits before a *power cut* may be lost (the file stays consistent). On a laptop that is the right price.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entity (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, last_sequence INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY, entity INTEGER NOT NULL, sequence INTEGER NOT NULL, content BLOB NOT NULL,
    enqueued_at INTEGER NOT NULL, expires_at INTEGER, due_at INTEGER,
    delivery_count INTEGER NOT NULL DEFAULT 0, state INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS duplicate (
    entity INTEGER NOT NULL, message_id TEXT NOT NULL, seen_at INTEGER NOT NULL,
    PRIMARY KEY (entity, message_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS duplicate_age ON duplicate (entity, seen_at);
CREATE TABLE IF NOT EXISTS session_state (
    entity INTEGER NOT NULL, session_id TEXT NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (entity, session_id)) WITHOUT ROWID;
"""

_INSERT: Final = "INSERT INTO message (id, entity, sequence, content, enqueued_at, expires_at, due_at, delivery_count, \
state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LOAD: Final = "SELECT id, sequence, content, enqueued_at, expires_at, due_at, delivery_count, state FROM message \
WHERE entity = ? AND (due_at IS NOT NULL) = ? ORDER BY sequence"
_FIRST_SIGHT: Final = "INSERT INTO duplicate (entity, message_id, seen_at) VALUES (:entity, :id, :now) \
ON CONFLICT DO NOTHING"
_SET_STATE: Final = "INSERT INTO session_state (entity, session_id, state) VALUES (?, ?, ?) \
ON CONFLICT DO UPDATE SET state = excluded.state"


_FORGETTING: Final = ("secure_delete = ON", "journal_size_limit = 0", "wal_checkpoint(TRUNCATE)")
"""Deleted and replaced data is overwritten in the file at once, and in the write-ahead log when that is emptied: every
thousand pages, and when the engine starts and ends."""

SHAPES: Final = (0, 1)
"""The known values of a file's `PRAGMA user_version`: 0 is from before files had a number, with the same tables."""


class StoreShapeError(Exception):
    """Another release of the engine wrote the file, or it is none of the engine's."""


class StoreInUseError(Exception):
    """Another engine has the file open."""


class StoredMessage(NamedTuple):
    """A row of the message table; times in milliseconds since 1970."""

    row: int
    sequence: int
    content: bytes
    enqueued_at: int
    expires_at: int | None
    due_at: int | None
    delivery_count: int
    state: int


class Store:
    """The tables of the engine. Changes become durable with `commit`."""

    def __init__(self, path: Path | None) -> None:
        """Open the file, or memory if `path` is None.

        Raises:
            StoreInUseError: another process holds the file.
            StoreShapeError: another release wrote the file.
        """
        self._connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0)
        # The lock is kept for the life of the process: two engines on one file would each believe their own memory.
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            for pragma in _FORGETTING:
                self._connection.execute(f"PRAGMA {pragma}")
            [shape] = self._connection.execute("PRAGMA user_version").fetchone()
            if shape not in SHAPES:
                raise StoreShapeError(
                    f"{path} is in shape {shape}, and this release of the engine reads "
                    f"{' and '.join(map(str, SHAPES))}: start the release that wrote it, or move the file away to "
                    "begin empty"
                )
            self._connection.executescript(f"{_SCHEMA}PRAGMA user_version = {SHAPES[-1]};")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StoreInUseError(f"{path} is in use by another engine") from error
            raise
        self._last_row: int = self._connection.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()[0]
        self._last_sequence: dict[int, int] = {}
        self._sequences_to_write: set[int] = set()

    def entity(self, path: str) -> int:
        """Return the key of an entity, which it keeps over restarts."""
        self._write("INSERT INTO entity (path) VALUES (?) ON CONFLICT DO NOTHING", (path,))
        row = self._connection.execute("SELECT id, last_sequence FROM entity WHERE path = ?", (path,)).fetchone()
        entity: int = row[0]
        self._last_sequence[entity] = row[1]
        return entity

    def next_sequence(self, entity: int) -> int:
        """Return the entity's next sequence number; none is ever given twice."""
        self._last_sequence[entity] += 1
        self._sequences_to_write.add(entity)
        return self._last_sequence[entity]

    def messages(self, entity: int, *, scheduled: bool = False) -> Iterator[StoredMessage]:
        """Yield the entity's scheduled or its other messages, in order of their sequence numbers."""
        for row in self._connection.execute(_LOAD, (entity, scheduled)):
            yield StoredMessage(*row)

    def insert(
        self,
        entity: int,
        sequence: int,
        content: bytes,
        enqueued_at: int,
        *,
        expires_at: int | None = None,
        due_at: int | None = None,
        delivery_count: int = 0,
        state: int = 0,
    ) -> int:
        """Add a message and return its row."""
        self._last_row += 1
        row = (self._last_row, entity, sequence, content, enqueued_at, expires_at, due_at, delivery_count, state)
        self._write(_INSERT, row)
        return self._last_row

    def delete(self, row: int) -> None:
        """Remove a message for good."""
        self._write("DELETE FROM message WHERE id = ?", (row,))

    def set_delivery_count(self, row: int, count: int) -> None:
        """Set how many deliveries have been spent."""
        self._write("UPDATE message SET delivery_count = ? WHERE id = ?", (count, row))

    def set_state(self, row: int, state: int) -> None:
        """Set active or deferred."""
        self._write("UPDATE message SET state = ? WHERE id = ?", (state, row))

    def set_content(self, row: int, content: bytes) -> None:
        """Replace the encoded message."""
        self._write("UPDATE message SET content = ? WHERE id = ?", (content, row))

    def first_sight(self, entity: int, message_id: str, now: int) -> bool:
        """Record a message id; False if it is on record already."""
        arguments = {"entity": entity, "id": message_id, "now": now}
        return self._write(_FIRST_SIGHT, arguments).rowcount == 1

    def forget_duplicates(self, entity: int, until: int) -> None:
        """Drop the message ids recorded at or before `until`."""
        self._write("DELETE FROM duplicate WHERE entity = ? AND seen_at <= ?", (entity, until))

    def session_state(self, entity: int, session_id: str) -> bytes | None:
        """Return a session's state, which the application has set."""
        query = "SELECT state FROM session_state WHERE entity = ? AND session_id = ?"
        row = self._connection.execute(query, (entity, session_id)).fetchone()
        return None if row is None else row[0]

    def set_session_state(self, entity: int, session_id: str, state: bytes | None) -> None:
        """Set a session's state; None removes it."""
        if state is None:
            self._write("DELETE FROM session_state WHERE entity = ? AND session_id = ?", (entity, session_id))
        else:
            self._write(_SET_STATE, (entity, session_id, state))

    def commit(self) -> None:
        """Make everything since the last commit durable; nothing to do costs nothing."""
        for entity in self._sequences_to_write:
            last = self._last_sequence[entity]
            self._write("UPDATE entity SET last_sequence = ? WHERE id = ?", (last, entity))
        self._sequences_to_write.clear()
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Commit and close the file."""
        self.commit()
        self._connection.close()

    def _write(self, statement: str, arguments: tuple[object, ...] | dict[str, object]) -> sqlite3.Cursor:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        return self._connection.execute(statement, arguments)
