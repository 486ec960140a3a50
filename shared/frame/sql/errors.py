"""What an error of the database means: the one table of Azure SQL's numbers and of the driver's SQLSTATEs."""

import re

import sqlalchemy as sa

TRANSIENT = frozenset(
    map(
        int,
        "64 233 596 1204 1205 1222 3930 4060 4221 10053 10054 10060 10928 10929 40143 40197 40501 40540 40613 42108"
        " 42109 49918 49919 49920".split(),
    )
)
"""Azure SQL's numbers of what a whole new transaction may well not meet again: lost connections (596: the session was
ended), deadlock (1205), a lock that did not come (1222), a transaction that was aborted (3930), failover (40613),
throttling (40501, 49918 to 49920). From Microsoft's list of transient errors, and 596, 1204, 1205, 1222 and 3930."""

LOST = frozenset({"08001", "08003", "08007", "08S01", "08S02", "HY010", "IMC06"})
"""SQLSTATEs of a server out of reach or a link that broke; the driver gives these no number of Azure's. If a COMMIT was
on its way, nobody knows what became of it."""

TIMED_OUT = frozenset({"HYT00", "HYT01"})
"""SQLSTATEs of a statement, or a login, that was not answered in time."""

FULL = frozenset(map(int, "1101 1105 9002 40544 40549 40550 40551 40552 40553".split()))
"""Azure SQL's numbers of a database that takes no more for now: no page left (1101), its files are full (1105), its log
is (9002), its quota is used up (40544), or the session took more than its share of the log, tempdb, locks or memory
(40549 to 40553). Reads go on; a write that is sent again at once meets the same."""

SQLITE_FULL = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")
"""How the names of SQLite's errors begin when the disk is full or the file may not be written. On a full disk the write
itself is FULL; what SQLite keeps beside the file (WAL, its index) is IOERR or CANTOPEN."""

_NATIVE_ERROR = re.compile(r"\((\d+)\) \(SQL")
_VALUE = re.compile(r"\bvalue(?: is|:)? ['(].*?(?=\(\d+\) \(SQL[A-Z])", re.DOTALL)
"""What Azure SQL repeats of a row: a duplicate key (2601, 2627), a text that is too long (2628) or no number (245)."""


def is_transient(error: BaseException) -> bool:
    """Whether a new transaction may succeed where this one failed."""
    if isinstance(error, sa.exc.ResourceClosedError):
        return True  # the first connection of an engine was lost while SQLAlchemy asked the new server what it is
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    if error.connection_invalidated or error_number(error) in TRANSIENT or sqlstate(error) in LOST | TIMED_OUT:
        return True
    return "database is locked" in str(error.orig)


def is_full(error: BaseException) -> bool:
    """Whether the database takes no more, until somebody makes room."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    name = getattr(error.orig, "sqlite_errorname", "") or ""
    return error_number(error) in FULL or name.startswith(SQLITE_FULL)


def withhold_values(error: sa.exc.DBAPIError) -> None:
    """Take out of an error's text what the database repeats of a row: errors are logged, and rows are people's own."""
    error.args = tuple(map(_without_values, error.args))
    if error.orig is not None:
        error.orig.args = tuple(map(_without_values, error.orig.args))


def _without_values(said: object) -> object:
    return _VALUE.sub("value (withheld). ", said) if isinstance(said, str) else said


def is_lost(error: sa.exc.DBAPIError) -> bool:
    """Whether the connection is gone, and perhaps was before it was used."""
    return error.connection_invalidated and sqlstate(error) not in TIMED_OUT


def error_number(error: sa.exc.DBAPIError) -> int | None:
    """Azure SQL's own number of an error, as the ODBC driver writes it into the message."""
    found = _NATIVE_ERROR.search(str(error.orig))
    return int(found[1]) if found else None


def sqlstate(error: sa.exc.DBAPIError) -> str:
    """The SQLSTATE that the ODBC driver gives an error; empty for other drivers."""
    arguments = error.orig.args if error.orig is not None else ()
    return str(arguments[0]) if arguments else ""
