"""A server that speaks TDS 7.4 ([MS-TDS]) with Microsoft's ODBC driver, for tests; it runs no SQL.

A test sees what the driver really sends (each request with its text, and its parameters as declared), and says what
comes back: rows, errors, silence, a connection that breaks. The driver then builds its real errors and waits its real
times. What a statement means to SQL Server is not known here: that takes a real one.
"""

from tests.support.tds.messages import (
    Answer,
    Answering,
    Answers,
    Cut,
    Delay,
    Done,
    Error,
    Login,
    Request,
    Reset,
    Rows,
    Silence,
    when,
)
from tests.support.tds.ordinary import ordinary
from tests.support.tds.server import Server, tds_server
from tests.support.tds.tap import Tap, tapped

__all__ = [
    "Answer",
    "Answering",
    "Answers",
    "Cut",
    "Delay",
    "Done",
    "Error",
    "Login",
    "Request",
    "Reset",
    "Rows",
    "Server",
    "Silence",
    "Tap",
    "ordinary",
    "tapped",
    "tds_server",
    "when",
]
