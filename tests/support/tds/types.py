"""SQL types and their values as TDS writes them ([MS-TDS] 2.2.5.4 to 2.2.5.6)."""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.support.tds.reader import Reader

COLLATION = bytes.fromhex("0904d00034")
"""SQL_Latin1_General_CP1_CI_AS, a new database's own."""

_MAX = 0xFFFF
"""The length of nvarchar(max) and the like, whose values come in pieces (PLP)."""

_PLP_NULL, _PLP_UNKNOWN = 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFE

_INTEGERS = {1: "tinyint", 2: "smallint", 4: "int", 8: "bigint"}
_FIXED = {0x1F: ("null", 0), 0x30: ("tinyint", 1), 0x32: ("bit", 1), 0x34: ("smallint", 2), 0x38: ("int", 4)} | {
    0x3E: ("float", 8),
    0x7F: ("bigint", 8),
}
_STRINGS = {0xA5: "varbinary", 0xA7: "varchar", 0xAD: "binary", 0xAF: "char", 0xE7: "nvarchar", 0xEF: "nchar"}
_LONG = {0x22: "image", 0x23: "text", 0x63: "ntext"}
_SCALED = {0x2A: "datetime2"}
_DECIMALS = {0x6A: "decimal", 0x6C: "numeric"}
_GUID, _INTN, _DATE, _BITN, _FLTN, _DATETIMEN = 0x24, 0x26, 0x28, 0x68, 0x6D, 0x6F

_CODES = {name: code for table in (_STRINGS, _SCALED, _DECIMALS) for code, name in table.items()}
_SIZES = {name: size for size, name in _INTEGERS.items()}


@dataclass(frozen=True)
class Type:
    """A SQL type.

    Attributes:
        name: as T-SQL names it.
        size: the greatest length, in characters or bytes; for numbers and times the length on the wire. None is (max).
        precision: digits of a decimal.
        scale: digits behind its point, or of a second.
    """

    name: str
    size: int | None = 0
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        if self.name in _STRINGS.values():
            return f"{self.name}({'max' if self.size is None else self.size})"
        if self.name in _DECIMALS.values():
            return f"{self.name}({self.precision},{self.scale})"
        return f"{self.name}({self.scale})" if self.name in _SCALED.values() else self.name


def sql_type(text: str) -> Type:
    """Read a type as T-SQL writes it: `int`, `nvarchar(max)`, `decimal(19,4)`, `datetime2(6)`.

    Raises:
        ValueError: it is none of those that a result here may have.
    """
    found = re.fullmatch(r"(\w+)(?:\((\d+|max)(?:,\s*(\d+))?\))?", text)
    name, first, second = found.groups() if found else (text, None, None)
    if name in _STRINGS.values() and first:
        return Type(name, None if first == "max" else int(first))
    if name in _DECIMALS.values() and first:
        return Type(name, 17, int(first), int(second or 0))
    if name in _SCALED.values():
        return Type(name, scale=int(first or 7))
    if first is None and name in {*_SIZES, "bit", "float", "uniqueidentifier", "date"}:
        return Type(name, {"bit": 1, "float": 8, "uniqueidentifier": 16}.get(name, _SIZES.get(name, 3)))
    raise ValueError(f"no such type here: {text}")


def read_type(reader: Reader) -> tuple[Type, Callable[[Reader], Any]]:
    """Read a TYPE_INFO; gives the type and what reads a value of it.

    Raises:
        ValueError: a type that is not spoken here.
    """
    code = reader.number("B")
    if code in _FIXED:
        name, size = _FIXED[code]
        return Type(name, size), lambda values: _value(name, values.take(size), 0) if size else None
    if code in _STRINGS:
        return _read_string_type(_STRINGS[code], reader)
    if code in _LONG:
        return _read_long_type(_LONG[code], reader)
    kind = _read_small_type(code, reader)
    return kind, lambda values: _read_small(kind, values)


def write_type(kind: Type) -> bytes:
    """Write a TYPE_INFO, of a type that may be NULL."""
    if kind.name in _SIZES:
        return bytes([_INTN, _SIZES[kind.name]])
    if kind.name in _STRINGS.values():
        wide = 2 if kind.name.startswith("n") else 1
        length = _MAX if kind.size is None else kind.size * wide
        collation = b"" if kind.name.endswith("binary") else COLLATION
        return struct.pack("<BH", _CODES[kind.name], length) + collation
    if kind.name in _DECIMALS.values():
        return bytes([_CODES[kind.name], 17, kind.precision, kind.scale])
    if kind.name in _SCALED.values():
        return bytes([_CODES[kind.name], kind.scale])
    return {
        "bit": bytes([_BITN, 1]),
        "float": bytes([_FLTN, 8]),
        "uniqueidentifier": bytes([_GUID, 16]),
        "date": bytes([_DATE]),
    }[kind.name]


def write_value(kind: Type, value: Any) -> bytes:
    """Write a value of a type, behind its length as that type has it."""
    if kind.name not in _STRINGS.values():
        data = b"" if value is None else _written(kind, value)
        return bytes([len(data)]) + data
    if value is None:
        return struct.pack("<Q", _PLP_NULL) if kind.size is None else struct.pack("<H", _MAX)
    data = _written(kind, value)
    if kind.size is None:
        return struct.pack("<QI", len(data), len(data)) + data + (struct.pack("<I", 0) if data else b"")
    return struct.pack("<H", len(data)) + data


def _read_string_type(name: str, reader: Reader) -> tuple[Type, Callable[[Reader], Any]]:
    length = reader.number("H")
    if not name.endswith("binary"):
        reader.take(len(COLLATION))
    if length == _MAX:
        return Type(name, None), lambda values: _read_pieces(name, values)
    return Type(name, length // 2 if name.startswith("n") else length), lambda values: _read_string(name, values)


def _read_string(name: str, values: Reader) -> Any:
    length = values.number("H")
    return None if length == _MAX else _value(name, values.take(length), 0)


def _read_pieces(name: str, values: Reader) -> Any:
    if values.number("Q") == _PLP_NULL:
        return None
    return _value(name, b"".join(_pieces(values)), 0)


def _pieces(values: Reader) -> Iterator[bytes]:
    while length := values.number("I"):
        yield values.take(length)


def _read_long_type(name: str, reader: Reader) -> tuple[Type, Callable[[Reader], Any]]:
    reader.take(4)
    if name != "image":
        reader.take(len(COLLATION))

    def read(values: Reader) -> Any:
        length = values.number("i")
        return None if length < 0 else _value(name, values.take(length), 0)

    return Type(name), read


def _read_small_type(code: int, reader: Reader) -> Type:
    """Read one whose values have their length in one byte before them."""
    if code == _DATE:
        return Type("date", 3)
    if code in _SCALED:
        return Type(_SCALED[code], scale=reader.number("B"))
    size = reader.number("B")
    if code in _DECIMALS:
        return Type(_DECIMALS[code], size, reader.number("B"), reader.number("B"))
    names = {_GUID: "uniqueidentifier", _BITN: "bit", _FLTN: "float" if size == 8 else "real"}
    if code == _DATETIMEN:
        return Type("datetime" if size == 8 else "smalldatetime", size)
    if code == _INTN:
        return Type(_INTEGERS[size], size)
    if code not in names:
        raise ValueError(f"a type that is not spoken here: 0x{code:02x}")
    return Type(names[code], size)


def _read_small(kind: Type, values: Reader) -> Any:
    length = values.number("B")
    return _value(kind.name, values.take(length), kind.scale) if length else None


def _value(name: str, data: bytes, scale: int) -> Any:
    match name:
        case "bit":
            return data != b"\x00"
        case "tinyint" | "smallint" | "int" | "bigint":
            return int.from_bytes(data, "little", signed=name != "tinyint")
        case "float" | "real":
            return struct.unpack("<d" if len(data) == 8 else "<f", data)[0]
        case "decimal" | "numeric":
            number = int.from_bytes(data[1:], "little") * (1 if data[0] else -1)
            return Decimal(number).scaleb(-scale)
        case "uniqueidentifier":
            return UUID(bytes_le=data)
        case "nvarchar" | "nchar" | "ntext":
            return data.decode("utf-16-le")
        case "varchar" | "char" | "text":
            return data.decode("cp1252")
        case "datetime":
            days, ticks = struct.unpack("<iI", data)
            return datetime(1900, 1, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(days, ticks / 300)
        case "date" | "datetime2":
            return _moment(name, data, scale)
        case _:
            return data


def _moment(name: str, data: bytes, scale: int) -> date | datetime:
    """Read a date, or a datetime2: units of 10**-scale s since midnight, then days since the year 1."""
    if name == "date":
        return _day(data)
    since = timedelta(microseconds=int.from_bytes(data[:-3], "little") * 10**6 // 10**scale)
    return datetime.combine(_day(data[-3:]), time()) + since


def _day(data: bytes) -> date:
    return date.fromordinal(1 + int.from_bytes(data, "little"))


def _written(kind: Type, value: Any) -> bytes:
    match kind.name:
        case "float":
            return struct.pack("<d", value)
        case "decimal" | "numeric":
            number = int(Decimal(value).scaleb(kind.scale))
            return bytes([number >= 0]) + abs(number).to_bytes(16, "little")
        case "uniqueidentifier":
            return UUID(str(value)).bytes_le
        case "nvarchar" | "nchar":
            return str(value).encode("utf-16-le")
        case "varchar" | "char":
            return str(value).encode("cp1252")
        case "date":
            return _written_day(value)
        case "datetime2":
            return _written_clock(value, kind.scale) + _written_day(value)
        case "binary" | "varbinary":
            return bytes(value)
        case _:
            return int(value).to_bytes(kind.size or 1, "little", signed=kind.name not in {"tinyint", "bit"})


def _written_day(value: date) -> bytes:
    return (value.toordinal() - 1).to_bytes(3, "little")


def _written_clock(value: datetime, scale: int) -> bytes:
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    units: int = (seconds * 10**6 + value.microsecond) * 10**scale // 10**6
    return units.to_bytes(3 if scale < 3 else 4 if scale < 5 else 5, "little")
