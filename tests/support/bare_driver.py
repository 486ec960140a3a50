"""Microsoft's driver by pyodbc alone, without SQLAlchemy and what the product makes of it."""

import time
from contextlib import closing
from typing import Any

import pytest

from tests.support.tds import Server

pyodbc = pytest.importorskip("pyodbc", exc_type=ImportError)  # which a missing libodbc.so.2 raises
pyodbc.pooling = False


def connect(server: Server, *, autocommit: bool = True, extra: str = "") -> Any:
    """Connect by pyodbc, and forget what that took."""
    connection = pyodbc.connect(server.odbc + extra, autocommit=autocommit)
    server.forget()
    return closing(connection)


def failure(connection: Any, *arguments: object) -> tuple[Any, float]:
    """Execute what must fail; gives the error, and how long it took in seconds."""
    began = time.monotonic()
    with pytest.raises(pyodbc.Error) as failed:
        connection.execute(*arguments)
    return failed.value, time.monotonic() - began
