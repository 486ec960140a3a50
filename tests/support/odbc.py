"""Microsoft's ODBC driver as PyPI has it, and what tests that need it have to know."""

import importlib.util
from pathlib import Path

import pytest

IDLE = 0.05
"""Seconds after which the driver looks whether a connection still stands before it uses it; it took 3 to 10 ms."""

_PACKAGE = importlib.util.find_spec("mssql_python_odbc")

needs_unixodbc = pytest.mark.skipif(
    importlib.util.find_spec("pyodbc") is None or not any(Path("/usr/lib").rglob("libodbc.so.2")),
    reason="pyodbc loads the system's unixODBC: apt-get install unixodbc",
)
needs_driver = pytest.mark.skipif(
    _PACKAGE is None, reason="needs Microsoft's ODBC driver: python -m pip install --no-deps mssql-python-odbc"
)


def driver() -> Path:
    """Where the driver's library is, which a connection string may name in place of a registered name."""
    assert _PACKAGE is not None
    folder = next(iter(_PACKAGE.submodule_search_locations or ()))
    return next(Path(folder).glob("libs/linux/debian_ubuntu/x86_64/lib/libmsodbcsql*"))
