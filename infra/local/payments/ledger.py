"""The provider's data, in one SQLite file: a commit survives the death of the process at any moment."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

type Json = dict[str, Any]

SHAPE = 1
"""`PRAGMA user_version` of the file."""

_TABLES = """
CREATE TABLE IF NOT EXISTS object (id TEXT PRIMARY KEY, kind TEXT NOT NULL, parent TEXT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answer (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS movement (
    number INTEGER PRIMARY KEY, intent TEXT NOT NULL, kind TEXT NOT NULL, amount INTEGER NOT NULL,
    currency TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
    number INTEGER PRIMARY KEY, event TEXT NOT NULL, due REAL NOT NULL, tries INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS fault (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, path TEXT NOT NULL, times INTEGER NOT NULL, seconds REAL NOT NULL);
"""


class LedgerShapeError(Exception):
    """Another release of the engine wrote the file."""


class Ledger:
    """The provider's books. One thread at a time is in a transaction."""

    def __init__(self, file: str | Path) -> None:
        self._alone = threading.RLock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        shape = self._db.execute("PRAGMA user_version").fetchone()[0]
        if shape not in (0, SHAPE):
            raise LedgerShapeError(f"{file} has shape {shape}; this release reads {SHAPE}")
        self._db.executescript(f"{_TABLES} PRAGMA user_version = {SHAPE};")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that is written in the block, or, when it raises, nothing of it."""
        with self._alone:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _all(self, statement: str, *values: object) -> list[Any]:
        with self._alone:
            return self._db.execute(statement, values).fetchall()

    def get(self, id_: str, kind: str) -> Json | None:
        """Give an object; None if there is none."""
        rows = self._all("SELECT body FROM object WHERE id = ? AND kind = ?", id_, kind)
        return json.loads(rows[0][0]) if rows else None

    def of(self, parent: str, kind: str) -> list[Json]:
        """Give the objects that belong to another, the youngest first."""
        statement = "SELECT body FROM object WHERE parent = ? AND kind = ? ORDER BY rowid DESC"
        return [json.loads(row[0]) for row in self._all(statement, parent, kind)]

    def put(self, body: Json, parent: str | None = None) -> None:
        """Keep an object as it is now."""
        statement = "INSERT INTO object VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
        self._all(statement, body["id"], body["object"], parent, json.dumps(body))

    def move(self, intent: Json, kind: str, amount: int) -> None:
        """Record that money was held, captured, released or refunded."""
        statement = "INSERT INTO movement (intent, kind, amount, currency) VALUES (?, ?, ?, ?)"
        self._all(statement, intent["id"], kind, amount, intent["currency"])

    def movements(self) -> list[Json]:
        """Give every movement in order, with its intent's metadata."""
        rows = self._all(
            "SELECT m.intent, m.kind, m.amount, m.currency, o.body FROM movement m JOIN object o ON o.id = m.intent"
            " ORDER BY m.number"
        )
        return [
            {
                "intent": row[0],
                "kind": row[1],
                "amount": row[2],
                "currency": row[3],
                "metadata": json.loads(row[4])["metadata"],
            }
            for row in rows
        ]

    def answered(self, key: str, since: float) -> tuple[str, int, Json] | None:
        """Give the request that had this key, the status and the body of its answer."""
        rows = self._all("SELECT request, status, body FROM answer WHERE key = ? AND at > ?", key, since)
        return (rows[0][0], rows[0][1], json.loads(rows[0][2])) if rows else None

    def answer(self, key: str, request: str, status: int, body: Json, at: float) -> None:
        """Keep an answer by its key."""
        self._all("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?)", key, request, status, json.dumps(body), at)

    def tell(self, event: Json, due: float) -> None:
        """Queue an event for delivery."""
        self._all("INSERT INTO delivery (event, due, tries) VALUES (?, ?, 0)", json.dumps(event), due)

    def deliveries(self, now: float) -> list[tuple[int, Json, int]]:
        """Give the deliveries that are due: number, event, tries so far."""
        rows = self._all("SELECT number, event, tries FROM delivery WHERE due <= ? ORDER BY due, number LIMIT 50", now)
        return [(row[0], json.loads(row[1]), row[2]) for row in rows]

    def delivered(self, number: int) -> None:
        """Forget a delivery."""
        self._all("DELETE FROM delivery WHERE number = ?", number)

    def put_off(self, number: int, due: float) -> None:
        """Try a delivery again later."""
        self._all("UPDATE delivery SET due = ?, tries = tries + 1 WHERE number = ?", due, number)

    def undelivered(self) -> int:
        """Count the deliveries that are still to be made."""
        return int(self._all("SELECT COUNT(*) FROM delivery")[0][0])

    def expect(self, kind: str, path: str, times: int, seconds: float) -> None:
        """Plan a fault, so many times."""
        self._all("INSERT INTO fault (kind, path, times, seconds) VALUES (?, ?, ?, ?)", kind, path, times, seconds)

    def fault(self, kind: str, path: str) -> float | None:
        """Use up one of the faults of a kind whose path ends as this one does: its seconds, or None for none."""
        with self._alone:
            rows = self._all(
                "SELECT number, seconds, path FROM fault WHERE kind = ? AND times > 0 ORDER BY number", kind
            )
            for number, seconds, suffix in rows:
                if path.endswith(suffix):
                    self._all("UPDATE fault SET times = times - 1 WHERE number = ?", number)
                    return float(seconds)
        return None

    def expected(self) -> int:
        """Count the faults that are still to come."""
        return int(self._all("SELECT coalesce(sum(times), 0) FROM fault")[0][0])

    def heal(self) -> None:
        """Cancel all planned faults."""
        self._all("DELETE FROM fault")

    def close(self) -> None:
        """Close the file."""
        with self._alone:
            self._db.close()
