"""Databases, containers and items in one SQLite file, used by one thread of one process."""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from cosmos_engine.definitions import Container
from cosmos_engine.names import container_rid, database_rid
from cosmos_engine.values import Json, dump

SCHEMA = """
CREATE TABLE IF NOT EXISTS databases (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, etag TEXT NOT NULL, timestamp INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS containers (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    database INTEGER NOT NULL REFERENCES databases ON DELETE CASCADE,
    name TEXT NOT NULL, etag TEXT NOT NULL, timestamp INTEGER NOT NULL, sequence INTEGER NOT NULL,
    definition TEXT NOT NULL,
    UNIQUE (database, name)
);
CREATE TABLE IF NOT EXISTS items (
    container INTEGER NOT NULL REFERENCES containers ON DELETE CASCADE,
    partition TEXT NOT NULL, id TEXT NOT NULL,
    created INTEGER NOT NULL,  -- sequence number of the write that created it
    changed INTEGER NOT NULL,  -- sequence number of its last write
    etag TEXT NOT NULL, timestamp INTEGER NOT NULL, ttl INTEGER, body TEXT NOT NULL,
    UNIQUE (container, partition, id)
);
CREATE UNIQUE INDEX IF NOT EXISTS items_in_order ON items (container, partition, created);
CREATE UNIQUE INDEX IF NOT EXISTS items_of_container ON items (container, created);
CREATE UNIQUE INDEX IF NOT EXISTS items_by_change ON items (container, changed);
"""
UNWRITABLE = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")
"""How the names of SQLite's errors begin when the disk is full or the file may not be written."""
COLUMNS = "partition, id, created, changed, etag, timestamp, ttl, body"


_PRAGMAS = ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON")
_FORGETTING = ("secure_delete=ON", "journal_size_limit=0", "wal_checkpoint(TRUNCATE)")
"""Deleted and replaced data is overwritten in the file at once, but for what `close` removes, and in the write-ahead
log when that is emptied: every thousand pages, and when the engine starts and ends."""

SHAPES = (0, 1)
"""The known values of a file's `PRAGMA user_version`: 0 is from before files had a number, with the same tables."""


class Item(NamedTuple):
    """A stored item. The body is JSON text with the system properties; timestamp and ttl are seconds."""

    partition: str
    id: str
    created: int
    changed: int
    etag: str
    timestamp: int
    ttl: int | None
    body: str

    def is_alive(self, container: Container) -> bool:
        """Whether its time to live is not over: https://learn.microsoft.com/azure/cosmos-db/nosql/time-to-live ."""
        if container.default_ttl is None:
            return True
        ttl = container.default_ttl if self.ttl is None else self.ttl
        return ttl < 0 or self.timestamp + ttl >= int(time.time())  # whole seconds: never less than was asked for


class Database(NamedTuple):
    """A stored database."""

    number: int
    name: str
    etag: str
    timestamp: int

    @property
    def rid(self) -> str:
        """Its resource id."""
        return database_rid(self.number)

    def body(self) -> dict[str, Json]:
        """The database as the clients read it."""
        system = {"_rid": self.rid, "_self": f"dbs/{self.rid}/", "_etag": self.etag, "_ts": self.timestamp}
        return {"id": self.name, **system, "_colls": "colls/", "_users": "users/"}


def new_etag(sequence: int = 0) -> str:
    """An etag that was never given before, in quotes as HTTP has it."""
    return f'"{sequence:08x}-0000-0000-0000-{secrets.token_hex(6)}"'


class Store:
    """The file, held open and locked against a second engine."""

    def __init__(self, path: str) -> None:
        """Open the file, or memory for ":memory:".

        Raises:
            sqlite3.OperationalError: another process has it open.
            sqlite3.DatabaseError: it is none of this engine's, or of another release of it.
        """
        self._sql = sqlite3.connect(path, isolation_level=None, timeout=1)
        for pragma in (*_PRAGMAS, *_FORGETTING):
            self._sql.execute(f"PRAGMA {pragma}")
        [shape] = self._sql.execute("PRAGMA user_version").fetchone()
        if shape not in SHAPES:
            raise sqlite3.DatabaseError(
                f"{path} is in shape {shape}, and this release of the engine reads {' and '.join(map(str, SHAPES))}: "
                "start the release that wrote it, or move the file away to begin empty"
            )
        self._sql.executescript(f"{SCHEMA}PRAGMA user_version = {SHAPES[-1]};")
        self._containers = {(it.database, it.name): it for it in self._load_containers()}
        self._remove_expired()

    def close(self) -> None:
        """Write the file anew, and close it: SQLite leaves copies of rows where it has moved them.

        Where writing it anew fails, as on a full disk, the file stays as it is.
        """
        with suppress(sqlite3.Error):
            self._sql.execute("VACUUM")
        self._sql.close()

    @contextmanager
    def transaction(self, container: Container | None = None) -> Iterator[None]:
        """Commit the block's changes, or undo all of them if it raises, or if the file is full."""
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            if container is not None:
                statement = "UPDATE containers SET sequence = ? WHERE number = ?"
                self._sql.execute(statement, (container.sequence, container.number))
            self._sql.execute("COMMIT")
        except BaseException:
            if self._sql.in_transaction:  # SQLite has undone some of what it could not write
                self._sql.execute("ROLLBACK")
            raise

    def databases(self) -> list[Database]:
        """All databases, oldest first."""
        rows = self._sql.execute("SELECT number, name, etag, timestamp FROM databases ORDER BY number")
        return [Database(*row) for row in rows]

    def database(self, name: str) -> Database | None:
        """The database of this name, or of this resource id."""
        found = {key: it for it in self.databases() for key in (it.rid, it.name)}
        return found.get(name)

    def create_database(self, name: str) -> None:
        """Add a database whose name is free."""
        statement = "INSERT INTO databases (name, etag, timestamp) VALUES (?, ?, ?)"
        with self.transaction():
            self._sql.execute(statement, (name, new_etag(), int(time.time())))

    def delete_database(self, database: Database) -> None:
        """Remove a database and all that is in it."""
        with self.transaction():
            self._sql.execute("DELETE FROM databases WHERE number = ?", (database.number,))
        self._containers = {key: it for key, it in self._containers.items() if it.database != database.name}

    def containers(self, database: str) -> list[Container]:
        """The containers of a database, oldest first."""
        return [it for it in self._containers.values() if it.database == database]

    def container(self, database: str, name: str) -> Container | None:
        """The container of this name in the database of this name, or of these resource ids."""
        if (database, name) in self._containers:
            return self._containers[database, name]
        return next((it for it in self._containers.values() if (it.database_rid, it.rid) == (database, name)), None)

    def create_container(self, database: Database, definition: dict[str, Json]) -> Container:
        """Add a container whose name is free."""
        statement = (
            "INSERT INTO containers (database, name, etag, timestamp, sequence, definition) VALUES (?, ?, ?, ?, 0, ?)"
        )
        values = (database.number, definition["id"], new_etag(), int(time.time()), dump(definition))
        with self.transaction():
            self._sql.execute(statement, values)
        for container in self._load_containers():
            self._containers.setdefault((container.database, container.name), container)
        return self._containers[database.name, definition["id"]]

    def redefine_container(self, container: Container, definition: dict[str, Json]) -> None:
        """Give a container another definition."""
        etag, timestamp = new_etag(), int(time.time())
        statement = "UPDATE containers SET definition = ?, etag = ?, timestamp = ? WHERE number = ?"
        with self.transaction():
            self._sql.execute(statement, (dump(definition), etag, timestamp, container.number))
        container.etag, container.timestamp = etag, timestamp
        container.redefine(definition)

    def delete_container(self, container: Container) -> None:
        """Remove a container and its items."""
        with self.transaction():
            self._sql.execute("DELETE FROM containers WHERE number = ?", (container.number,))
        del self._containers[container.database, container.name]

    def item(self, container: Container, partition: str, item_id: str) -> Item | None:
        """The item, unless its time is over."""
        statement = f"SELECT {COLUMNS} FROM items WHERE container = ? AND partition = ? AND id = ?"  # noqa: S608 -- constants
        row = self._sql.execute(statement, (container.number, partition, item_id)).fetchone()
        if row is None or not (item := Item._make(row)).is_alive(container):
            return None
        return item

    def save(self, container: Container, item: Item) -> None:
        """Write an item, over the one of the same partition and id."""
        statement = f"INSERT OR REPLACE INTO items (container, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        self._sql.execute(statement, (container.number, *item))

    def delete_item(self, container: Container, item: Item) -> None:
        """Remove an item."""
        statement = "DELETE FROM items WHERE container = ? AND created = ?"
        self._sql.execute(statement, (container.number, item.created))

    def items(self, container: Container, partition: str | None, after: int, limit: int) -> list[Item]:
        """The next items in the order of their creation; of all partitions for None. Some may not be alive."""
        where = (
            "container = ? AND created > ?" if partition is None else "container = ? AND partition = ? AND created > ?"
        )
        keys = (container.number, after) if partition is None else (container.number, partition, after)
        statement = f"SELECT {COLUMNS} FROM items WHERE {where} ORDER BY created LIMIT {limit}"  # noqa: S608 -- constants
        return [Item._make(row) for row in self._sql.execute(statement, keys)]

    def changes(self, container: Container, after: int, limit: int) -> list[Item]:
        """The next items in the order of their last change. Some may not be alive."""
        statement = f"SELECT {COLUMNS} FROM items WHERE container = ? AND changed > ? ORDER BY changed LIMIT {limit}"  # noqa: S608
        return [Item._make(row) for row in self._sql.execute(statement, (container.number, after))]

    def _remove_expired(self) -> None:
        """Give the room of expired items back; until then they are only not shown."""
        for container in self._containers.values():
            if container.default_ttl is not None:
                statement = """
                    DELETE FROM items
                    WHERE container = ? AND coalesce(ttl, ?) >= 0 AND timestamp + coalesce(ttl, ?) < ?
                """
                ttl = container.default_ttl
                self._sql.execute(statement, (container.number, ttl, ttl, int(time.time())))

    def _load_containers(self) -> Iterator[Container]:
        statement = """
            SELECT c.number, d.number, d.name, c.name, c.etag, c.timestamp, c.sequence, c.definition
            FROM containers c JOIN databases d ON d.number = c.database ORDER BY c.number
        """
        for number, database, database_name, name, etag, timestamp, sequence, definition in self._sql.execute(
            statement
        ):
            yield Container(
                number,
                database_name,
                database_rid(database),
                name,
                container_rid(database, number),
                etag,
                timestamp,
                sequence,
                json.loads(definition),
            )
