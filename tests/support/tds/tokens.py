"""What a server sends, token by token ([MS-TDS] 2.2.7)."""

import struct
from collections.abc import Mapping

from tests.support.tds.messages import Error, Rows
from tests.support.tds.types import COLLATION, Type, sql_type, write_type, write_value

VERSION = (12, 0, 2000, 8)
"""Azure SQL says so of itself, whatever it is."""

MORE, FAILED, IN_TRANSACTION, COUNTS, ATTENTION = 0x01, 0x02, 0x04, 0x10, 0x20
DONE, DONE_PROCEDURE, DONE_INSIDE = 0xFD, 0xFE, 0xFF
BEGUN, COMMITTED, ROLLED_BACK = 8, 9, 10

_NULLABLE = 0x0001
_OUTPUT = 0x01
_TDS_7_4 = 0x74000004
_SERVER = "a stand-in"


def version() -> bytes:
    """Write the version as PRELOGIN and LOGINACK have it, without its last part."""
    return struct.pack(">BBH", *VERSION[:3])


def done(token: int, status: int, rows: int = 0) -> bytes:
    """End a statement, or the whole answer."""
    return struct.pack("<BHHQ", token, status, 0, rows)


def error(told: Error) -> bytes:
    """Tell an error."""
    return _told(0xAA, told)


def result(rows: Rows) -> bytes:
    """Send columns and rows."""
    kinds = [sql_type(kind) for _, kind in rows.columns]
    data = struct.pack("<BH", 0x81, len(kinds))
    for (name, _), kind in zip(rows.columns, kinds, strict=True):
        data += struct.pack("<IH", 0, _NULLABLE) + write_type(kind) + _short(name)
    for row in rows.rows:
        data += b"\xd1" + b"".join(write_value(kind, value) for kind, value in zip(kinds, row, strict=True))
    return data


def returned(handle: int | None) -> bytes:
    """Return from a procedure with status 0, and with a prepared statement's handle if there is one."""
    data = struct.pack("<Bi", 0x79, 0)
    if handle is not None:
        kind = Type("int", 4)
        data += struct.pack("<BH", 0xAC, 0) + _short("") + struct.pack("<BIH", _OUTPUT, 0, 0)
        data += write_type(kind) + write_value(kind, handle)
    return data


def transaction(change: int, descriptor: bytes) -> bytes:
    """Say that a transaction has begun, or has ended."""
    new, old = (descriptor, b"") if change == BEGUN else (b"", descriptor)
    return _changed(change, bytes([len(new)]) + new + bytes([len(old)]) + old)


def recoverable(*, yes: bool) -> bytes:
    """Say whether the session could be taken up again if it were lost (SESSIONSTATE, with a state of one byte)."""
    state = struct.pack("<IBBBB", 0, yes, 1, 1, yes)
    return struct.pack("<BI", 0xE4, len(state)) + state


def signed_in(database: str, packet: int, features: Mapping[int, bytes]) -> bytes:
    """Let the client in."""
    acknowledgement = struct.pack(">BI", 1, _TDS_7_4) + _short("Microsoft SQL Server") + version()
    acknowledged = b"".join(struct.pack("<BI", feature, len(data)) + data for feature, data in features.items())
    return b"".join(
        [
            _changed(1, _short(database) + _short("master")),
            _told(0xAB, Error(5701, f"Changed database context to '{database}'.", 2, 0)),
            _changed(7, bytes([len(COLLATION)]) + COLLATION + b"\x00"),
            _changed(2, _short("us_english") + _short("")),
            struct.pack("<BH", 0xAD, len(acknowledgement)) + acknowledgement,
            b"\xae" + acknowledged + b"\xff" if features else b"",
            _changed(4, _short(str(packet)) + _short(str(packet))),
        ]
    )


def _told(token: int, told: Error) -> bytes:
    text = told.message.encode("utf-16-le")
    data = struct.pack("<iBBH", told.number, told.state, told.severity, len(text) // 2) + text
    data += _short(_SERVER) + _short("") + struct.pack("<i", 1)
    return struct.pack("<BH", token, len(data)) + data


def _changed(kind: int, values: bytes) -> bytes:
    return struct.pack("<BHB", 0xE3, 1 + len(values), kind) + values


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode("utf-16-le")
