"""Makes Microsoft's ODBC driver send one request for each statement, with parameters declared like their columns.

The driver prepares and executes a statement in one request, and sends another one to unprepare it when its cursor is
closed. So closed cursors are kept. Seen on the wire with pyodbc 5.5 and driver 18.6
(tests/integration/platform/driver).
"""

from collections import OrderedDict
from typing import Any

import sqlalchemy as sa

KEPT = 100
"""Cursors that a connection keeps; the product has fewer statements."""

MAX_WRITE = 2**30
"""Bytes of a parameter that are sent with the statement; pyodbc would send longer ones than 4,000 in extra requests."""

# pyodbc's numbers, which are ODBC's (sql.h, sqlext.h, msodbcsql.h); importing it needs the system's unixODBC
_WVARCHAR, _BIGINT, _INTEGER, _BIT, _GUID, _TIMESTAMP, _DECIMAL, _BINARY = -9, -5, 4, -7, -11, 93, 3, -2


def declared(type_: sa.types.TypeEngine[Any]) -> tuple[int, int, int]:
    """Give the declaration of a parameter of this type: ODBC's type, size and decimal digits.

    Without a declaration the driver declares text by the value's length, which makes a plan for each length, and sends
    another request to ask the server for the type of a None.

    Raises:
        TypeError: no parameter has this type yet.
    """
    plain = type_.impl if isinstance(type_, sa.TypeDecorator) else type_
    match plain:
        case sa.Uuid():
            return _GUID, 16, 0
        case sa.DateTime():
            return _TIMESTAMP, 26, 6
        case sa.Numeric():
            return _DECIMAL, plain.precision or 0, plain.scale or 0
        case sa.BigInteger():
            return _BIGINT, 19, 0
        case sa.Integer():
            return _INTEGER, 10, 0
        case sa.Boolean():
            return _BIT, 1, 0
        case sa.LargeBinary() | sa.BINARY():
            return _BINARY, plain.length or 0, 0
        case sa.String():
            return _WVARCHAR, plain.length or 0, 0  # 0 is NVARCHAR(MAX)
        case _:
            raise TypeError(f"{plain!r} is no type of a parameter")


class KeptCursors:
    """A pyodbc connection whose closed cursors are kept, each for the same statement with the same time-out."""

    def __init__(self, connection: Any, null: object, timeout: int) -> None:
        """Keep a connection's cursors.

        Args:
            connection: pyodbc's.
            timeout: seconds for statements without a time-out of their own.
            null: pyodbc's null, which takes the declared type; for None pyodbc asks the server all the same.
        """
        connection.maxwrite = MAX_WRITE
        own = {"connection": connection, "null": null, "default_timeout": timeout, "kept": OrderedDict(), "used": []}
        self.__dict__.update(own)

    def cursor(self) -> "_Cursor":
        """Give a cursor; it uses the kept cursor of the statement that it executes."""
        return _Cursor(self)

    def come_back(self) -> None:
        """Close results that were not read to their end: the connection can do nothing else before that."""
        for cursor in list(self.used):
            cursor.close()

    def close(self) -> None:
        """Close the connection; its cursors close with it.

        One that closes before it sends a request to give up what it has prepared, and waits for the answer.
        """
        self.connection.close()
        self.kept.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.connection, name, value)


class _Cursor:
    """A cursor as SQLAlchemy uses one, for one statement.

    Attributes:
        timeout: seconds for the statement; the driver takes them when a cursor is made.
    """

    def __init__(self, connection: KeptCursors) -> None:
        self.timeout: int = connection.default_timeout
        self._connection = connection
        self._kept: OrderedDict[tuple[str, int], Any] = connection.kept
        self._key: tuple[str, int] | None = None
        self._cursor: Any = None
        self._sizes: Any = None
        self._failed = False

    def setinputsizes(self, sizes: Any) -> None:
        """Declare the parameters of the statement that is executed next."""
        self._sizes = sizes

    def execute(self, statement: str, *parameters: Any) -> Any:
        """Execute the statement; it is prepared already if this connection has executed it before."""
        key = (statement, self.timeout)
        cursor = self._kept.pop(key, None) or self._new()
        self._cursor, self._key = cursor, key
        self._connection.used.append(self)
        if self._sizes is not None:
            cursor.setinputsizes(self._sizes)
            null = self._connection.null
            parameters = tuple([null if value is None else value for value in values] for values in parameters)
        self._failed = True
        executed = cursor.execute(statement, *parameters)
        self._failed = False
        return executed

    def executemany(self, statement: str, parameters: Any) -> Any:
        """Execute it for each of these parameters, on a cursor that is not kept."""
        self._cursor, self._failed = self._new(), True
        return self._cursor.executemany(statement, parameters)

    def _new(self) -> Any:
        self._connection.timeout = self.timeout
        return self._connection.connection.cursor()

    def close(self) -> None:
        """Discard unread results, and keep the cursor for the next use."""
        cursor, key, self._cursor = self._cursor, self._key, None
        if cursor is None:
            return
        if self in self._connection.used:
            self._connection.used.remove(self)
        if key is None or self._failed:
            cursor.close()
            return
        while cursor.nextset():
            pass
        self._kept[key] = cursor
        if len(self._kept) > KEPT:
            _, oldest = self._kept.popitem(last=False)
            oldest.close()

    def __getattr__(self, name: str) -> Any:
        if self._cursor is None:
            raise AttributeError(name)
        return getattr(self._cursor, name)
