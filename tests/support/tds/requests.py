"""Messages of a client, read ([MS-TDS] 2.2.6.4 to 2.2.6.9)."""

import struct
from collections.abc import Iterator
from typing import Any

from tests.support.tds.messages import Login
from tests.support.tds.reader import Reader
from tests.support.tds.types import read_type

PROCEDURES = {
    number: f"sp_{name}"
    for number, name in enumerate(
        "cursor cursoropen cursorprepare cursorexecute cursorprepexec cursorunprepare cursorfetch cursoroption "
        "cursorclose executesql prepare execute prepexec prepexecrpc unprepare".split(),
        start=1,
    )
}
"""The well-known procedures, which a client may name by number."""

TRANSACTIONS = {5: "BEGIN", 7: "COMMIT", 8: "ROLLBACK", 9: "SAVE"}

FEATURE_RECOVERY, FEATURE_TOKEN = 0x01, 0x02
_FEATURES_END = 0xFF
_BY_NUMBER = 0xFFFF
_NEXT_CALL = 0x80
"""From here on a parameter's first byte is no name's length but says that another call follows."""


def prelogin(options: dict[int, bytes]) -> bytes:
    """Write a PRELOGIN: a table of places, then what stands there."""
    place, table, data = 5 * len(options) + 1, b"", b""
    for option, value in options.items():
        table += struct.pack(">BHH", option, place + len(data), len(value))
        data += value
    return table + b"\xff" + data


def read_prelogin(message: bytes) -> dict[int, bytes]:
    """Read one."""
    options, at = {}, 0
    while message[at] != _FEATURES_END:
        option, place, length = struct.unpack_from(">BHH", message, at)
        options[option] = message[place : place + length]
        at += 5
    return options


def read_login(message: bytes) -> tuple[Login, dict[int, bytes]]:
    """Read a LOGIN7; gives who signs in, and the features that the client asks for."""

    def text(entry: int) -> bytes:
        place, length = struct.unpack_from("<HH", message, entry)
        return message[place : place + 2 * length]

    features = dict(_features(message))
    token = features.get(FEATURE_TOKEN)
    login = Login(
        user=text(40).decode("utf-16-le"),
        password=_plain(text(44)).decode("utf-16-le"),
        application=text(48).decode("utf-16-le"),
        database=text(68).decode("utf-16-le"),
        token=None if token is None else _token(token),
        resumes=bool(features.get(FEATURE_RECOVERY)),
    )
    return login, features


def read_batch(message: bytes) -> str:
    """Read a SQL batch."""
    return _behind_headers(message).data.decode("utf-16-le")


def read_transaction(message: bytes) -> tuple[str, bool]:
    """Read a transaction manager request; gives its verb, and whether the next transaction begins with it.

    Raises:
        ValueError: it is about distributed transactions.
    """
    reader = _behind_headers(message)
    number = reader.number("H")
    if number not in TRANSACTIONS:
        raise ValueError(f"transaction manager request {number} is not spoken here")
    verb = TRANSACTIONS[number]
    if verb not in {"COMMIT", "ROLLBACK"}:
        return verb, False
    reader.short_text()
    return verb, bool(reader.number("B") & 1)


def read_calls(message: bytes) -> Iterator[tuple[str, list[Any]]]:
    """Read an RPC message: one procedure with its arguments, or several."""
    reader = _behind_headers(message)
    while reader.more:
        length = reader.number("H")
        name = PROCEDURES[reader.number("H")] if length == _BY_NUMBER else reader.text(length)
        reader.take(2)
        arguments: list[Any] = []
        while reader.more:
            length = reader.number("B")
            if length >= _NEXT_CALL:
                break
            reader.take(2 * length + 1)
            _, read = read_type(reader)
            arguments.append(read(reader))
        yield name.split(".")[-1], arguments  # of [sys].sp_datatype_info_100


def _behind_headers(message: bytes) -> Reader:
    (length,) = struct.unpack_from("<I", message)
    return Reader(message[length:])


def _features(message: bytes) -> Iterator[tuple[int, bytes]]:
    (asked,) = struct.unpack_from("<B", message, 27)
    if not asked & 0x10:
        return
    (entry,) = struct.unpack_from("<H", message, 56)
    (place,) = struct.unpack_from("<I", message, entry)
    reader = Reader(message, place)
    while (feature := reader.number("B")) != _FEATURES_END:
        yield feature, reader.take(reader.number("I"))


def _plain(password: bytes) -> bytes:
    """Undo the swap of half bytes and the XOR, which hide nothing."""
    return bytes(((byte ^ 0xA5) << 4 | (byte ^ 0xA5) >> 4) & 0xFF for byte in password)


def _token(feature: bytes) -> str:
    reader = Reader(feature, 1)
    return reader.take(reader.number("I")).decode("utf-16-le")
