"""The meaning of database errors: the one table of Azure SQL's numbers and the driver's SQLSTATEs."""

import re

import sqlalchemy as sa

TRANSIENT = frozenset(
    map(
        int,
        "64 233 596 1204 1205 1222 3930 4060 4221 10053 10054 10060 10928 10929 40143 40197 40501 40540 40613 42108"
        " 42109 49918 49919 49920".split(),
    )
)
"""Azure SQL's numbers of errors that a new transaction may not meet again: lost connections (596: the session was
ended), deadlock (1205), a lock that was not granted (1222), an aborted transaction (3930), failover (40613),
throttling (40501, 49918 to 49920). From Microsoft's list of transient errors, and 596, 1204, 1205, 1222 and 3930."""

LOST = frozenset("08001 08003 08007 08S01 08S02 HY010 IMC01 IMC02 IMC03 IMC04 IMC05 IMC06 IMC07".split())
"""SQLSTATEs of an unreachable server or a broken connection; the driver gives these no number of Azure's. If it broke
during a COMMIT, the outcome is unknown. IMC01 to IMC07 say why an idle session could not be resumed, and are the
driver's own; SQLAlchemy does not know them."""

TIMED_OUT = frozenset({"HYT00", "HYT01"})
"""SQLSTATEs of a statement, or a login, that was not answered in time."""

NO_TOKEN = "TOKEN"  # noqa: S105  # a state
"""Our own SQLSTATE of a connection for which there was no access token; SQL leaves states from I on to implementations.
It is not LOST: nothing is known of the database, or of other connections."""

PASSING = LOST | TIMED_OUT | {NO_TOKEN}
"""SQLSTATEs of what a new transaction may not meet again."""

FULL = frozenset(map(int, "1101 1105 9002 40544 40549 40550 40551 40552 40553".split()))
"""Azure SQL's numbers of a database that has no room for writes: no page left (1101), files full (1105), log full
(9002), quota used up (40544), or the session used more than its share of the log, tempdb, locks or memory (40549 to
40553). Reads still work; a write that is sent again at once fails again."""

REFUSED = frozenset({229, 230, 916, 18456, 40532, 40615, 40914, 42119, 47073})
"""Azure SQL's numbers of a database that refuses this app, whatever is asked, until somebody mends that: a login
without a user (18456, 916) or for no server that the gateway knows (40532), the firewall (40615, 40914, 47073), a right
that was not granted (229, 230), a free database whose month is used up (42119). From Microsoft's pages on connecting
and its lists of errors; 42119 is on none of them, and the driver's messages in public code have it."""

SQLITE_FULL = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")
"""The beginning of the names of SQLite's errors when the disk is full or the file is not writable. On a full disk the
write itself fails with FULL; the files beside the database (WAL and its index) fail with IOERR or CANTOPEN."""

_NATIVE_ERROR = re.compile(r"\((\d+)\) \(SQL")
_VALUE = re.compile(r"\bvalue(?: is|:)? ['(].*?(?=\(\d+\) \(SQL[A-Z])", re.DOTALL)
"""Parts of Azure SQL's messages that repeat a row's values: duplicate key (2601, 2627), text too long (2628), text that
is no number (245)."""


class OutOfTime(Exception):
    """A request to the database was not begun, because it might take longer than the command has left."""

    def __init__(self) -> None:
        super().__init__("the database did not answer in time")


def is_transient(error: BaseException) -> bool:
    """Whether a new transaction may succeed where this one failed."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    if error.connection_invalidated or error_number(error) in TRANSIENT or sqlstate(error) in PASSING:
        return True
    return "database is locked" in str(error.orig)


def is_full(error: BaseException) -> bool:
    """Whether the database takes no more writes until somebody makes room."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    name = getattr(error.orig, "sqlite_errorname", "") or ""
    return error_number(error) in FULL or name.startswith(SQLITE_FULL)


def refuses_the_app(error: BaseException) -> bool:
    """Whether the database refuses this app, so that nothing can be done in it until somebody lets the app in."""
    return isinstance(error, sa.exc.DBAPIError) and error_number(error) in REFUSED


def withhold_values(error: sa.exc.DBAPIError) -> None:
    """Remove a row's values from an error's text: errors are logged, and rows have personal data."""
    error.args = tuple(map(_without_values, error.args))
    if error.orig is not None:
        error.orig.args = tuple(map(_without_values, error.orig.args))


def _without_values(said: object) -> object:
    return _VALUE.sub("value (withheld). ", said) if isinstance(said, str) else said


def is_lost(error: sa.exc.DBAPIError) -> bool:
    """Whether the connection is lost, perhaps since before it was used."""
    return error.connection_invalidated and sqlstate(error) not in TIMED_OUT


def error_number(error: sa.exc.DBAPIError) -> int | None:
    """Azure SQL's own number of an error, as the ODBC driver writes it into the message."""
    found = _NATIVE_ERROR.search(str(error.orig))
    return int(found[1]) if found else None


def sqlstate(error: sa.exc.DBAPIError) -> str:
    """The SQLSTATE that the ODBC driver gives an error; empty for other drivers."""
    arguments = error.orig.args if error.orig is not None else ()
    return str(arguments[0]) if arguments else ""
