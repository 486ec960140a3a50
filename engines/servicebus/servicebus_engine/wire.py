"""AMQP 1.0 message sections as bytes: splitting, decoding and encoding them.

A broker must hand on the bare message exactly as it came (AMQP 1.0, part 3.2), so bodies are never decoded here; only
the header and the annotations, which belong to the broker, are written anew.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

from proton import Array, Data, Described

from servicebus_engine.errors import malformed

HEADER: Final = 0x70
DELIVERY_ANNOTATIONS: Final = 0x71
MESSAGE_ANNOTATIONS: Final = 0x72
PROPERTIES: Final = 0x73
APPLICATION_PROPERTIES: Final = 0x74
DATA: Final = 0x75
AMQP_SEQUENCE: Final = 0x76
AMQP_VALUE: Final = 0x77
FOOTER: Final = 0x78

_VBIN8: Final = b"\xa0"
_VBIN32: Final = b"\xb0"
_WIDTH_OF_FIXED: Final = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
"""Payload bytes by the high nibble of a format code (AMQP 1.0, part 1.2)."""


def split_sections(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (descriptor code, start, end) of each section of an encoded message.

    Raises:
        ServiceBusError: the bytes are not a sequence of AMQP message sections.
    """
    position = 0
    while position < len(raw):
        start = position
        try:
            code, position = _descriptor(raw, position)
            position = end_of_value(raw, position)
        except (IndexError, KeyError) as error:
            raise malformed(f"The message is not valid AMQP at byte {start}.") from error
        if not HEADER <= code <= FOOTER:
            raise malformed(f"The message is not valid AMQP at byte {start}.")
        yield code, start, position


def _descriptor(raw: bytes, position: int) -> tuple[int, int]:
    if raw[position] != 0:
        raise KeyError(raw[position])
    if raw[position + 1] == 0x53:  # noqa: PLR2004 (smallulong)
        return raw[position + 2], position + 3
    if raw[position + 1] == 0x80:  # noqa: PLR2004 (ulong)
        return int.from_bytes(raw[position + 2 : position + 10]), position + 10
    raise KeyError(raw[position + 1])


def end_of_value(raw: bytes, position: int) -> int:
    """Return where an encoded value ends, by its constructor and its length; what lies in it is not looked at.

    Raises:
        ServiceBusError: there is no AMQP value, or it is longer than the bytes.
    """
    try:
        if raw[position] == 0:
            return end_of_value(raw, end_of_value(raw, position + 1))
        end = _end_of_plain_value(raw, position)
    except (IndexError, struct.error, KeyError, RecursionError) as error:
        raise malformed(f"There is no AMQP value at byte {position}.") from error
    if end > len(raw):
        raise malformed(f"The AMQP value at byte {position} is cut off.")
    return end


def _end_of_plain_value(raw: bytes, position: int) -> int:
    kind = raw[position] >> 4
    if kind in _WIDTH_OF_FIXED:
        return position + 1 + _WIDTH_OF_FIXED[kind]
    if kind in (0xA, 0xC, 0xE):
        return position + 2 + raw[position + 1]
    if kind in (0xB, 0xD, 0xF):
        length: int = struct.unpack_from(">I", raw, position + 1)[0]
        return position + 5 + length
    raise KeyError(kind)


def split_list(encoded: bytes) -> list[bytes]:
    """Return the encoded items of an encoded list.

    Raises:
        ServiceBusError: it is no list, or its count or its lengths lie.
    """
    return _items(encoded, {0x45: None, 0xC0: 1, 0xD0: 4})


def split_map(encoded: bytes) -> list[tuple[bytes, bytes]]:
    """Return the encoded keys and values of an encoded map.

    Raises:
        ServiceBusError: it is no map, or its count or its lengths lie.
    """
    items = _items(encoded, {0xC1: 1, 0xD1: 4})
    if len(items) % 2:
        raise malformed("A map has a key without a value.")
    return list(zip(items[::2], items[1::2], strict=True))


def _items(encoded: bytes, widths: dict[int, int | None]) -> list[bytes]:
    code = encoded[0] if encoded else None
    if code not in widths:
        raise malformed("A value is not of the kind that it must be.")
    width = widths[code]
    if width is None:
        return []
    position = 1 + 2 * width
    count = int.from_bytes(encoded[1 + width : position])
    items = []
    while position < len(encoded):
        end = end_of_value(encoded, position)
        items.append(encoded[position:end])
        position = end
    if len(items) != count:
        raise malformed(f"A list or map says that it has {count} items, and has {len(items)}.")
    return items


def encode_list(items: list[bytes]) -> bytes:
    """Return a list of encoded items, in its short form where it fits."""
    body = b"".join(items)
    if len(body) < 0xFF and len(items) < 0xFF:  # noqa: PLR2004 (the length counts the count)
        return b"\xc0" + bytes((len(body) + 1, len(items))) + body
    return b"\xd0" + struct.pack(">II", len(body) + 4, len(items)) + body


def encode_map(section: int, entries: list[bytes]) -> bytes:
    """Return a section that is a map of encoded keys and values, alternating."""
    body = b"".join(entries)
    return bytes((0, 0x53, section, 0xD1)) + struct.pack(">II", len(body) + 4, len(entries)) + body


def text(encoded: bytes) -> str | None:
    """Return an encoded string or symbol as text; None if it is something else.

    Raises:
        ServiceBusError: the bytes are not UTF-8, or those of a symbol not ASCII.
    """
    width = {0xA1: 1, 0xA3: 1, 0xB1: 4, 0xB3: 4}.get(encoded[0])
    if width is None:
        return None
    try:
        return encoded[1 + width :].decode("ascii" if encoded[0] & 0x0F == 3 else "utf-8")  # noqa: PLR2004 (a symbol)
    except UnicodeDecodeError as error:
        raise malformed("A name has characters that it must not have.") from error


def value_of_section(section: bytes) -> bytes:
    """Return the encoded value of a section, without its descriptor."""
    return section[3 if section[1] == 0x53 else 10 :]  # noqa: PLR2004 (smallulong)


def batched_messages(raw: bytes) -> list[bytes]:
    """Return the messages inside a batch: an envelope whose data sections are encoded messages.

    Raises:
        ServiceBusError: it has another body, or none.
    """
    messages = []
    for code, start, end in split_sections(raw):
        if code == DATA:
            value = value_of_section(raw[start:end])
            if value[:1] not in (_VBIN8, _VBIN32):
                raise malformed("A data section of a batch is not binary.")
            messages.append(value[2:] if value[:1] == _VBIN8 else value[5:])
        elif code > DATA and code != FOOTER:
            raise malformed("The body of a batch is not made of data sections.")
    if not messages:
        raise malformed("A batch has no messages.")
    return messages


def decode_section(section: bytes) -> Any:
    """Return the value of one section as Python data.

    Raises:
        ServiceBusError: the section does not decode.
    """
    described = decode_value(section)
    return described.value if isinstance(described, Described) else described


def decode_value(encoded: bytes) -> Any:
    """Return one encoded value as Python data.

    Raises:
        ServiceBusError: it does not decode.
    """
    data = Data()
    try:
        length = data.decode(encoded)
        data.next()
        value = _own(data.get_object())
    except Exception as error:  # proton's decoder may raise any error on foreign bytes
        raise malformed("A value of the message does not decode.") from error
    if length != len(encoded):
        raise malformed("A value of the message is shorter than it says.")
    return value


def _own(value: Any) -> Any:
    """Copy the binaries in a decoded value: they are views of memory that is freed with proton's decoder."""
    match value:
        case memoryview():
            return bytes(value)
        case Described():
            return Described(_own(value.descriptor), _own(value.value))
        case Array():
            return Array(value.descriptor, value.type, *map(_own, value.elements))
        case dict():
            return {_own(key): _own(item) for key, item in value.items()}
        case list():
            return [_own(item) for item in value]
        case _:
            return value


def encode_value(value: Any) -> bytes:
    """Return one AMQP value; proton's number classes (`ulong`, `timestamp`, ...) choose its type.

    Raises:
        ServiceBusError: the value, which was decoded from a client's frame, cannot be encoded again.
    """
    data = Data()
    try:
        data.put_object(value)
        return bytes(data.encode())
    except Exception as error:  # proton's encoder may raise any error on foreign values
        raise malformed("A value cannot be encoded.") from error


def encode_text(text: str) -> bytes:
    """Return a string."""
    encoded = text.encode()
    if len(encoded) <= 0xFF:  # noqa: PLR2004 (str8)
        return b"\xa1" + bytes((len(encoded),)) + encoded
    return b"\xb1" + struct.pack(">I", len(encoded)) + encoded


def encode_header(*, durable: bool, priority: int | None, ttl: int | None, delivery_count: int) -> bytes:
    """Return a header section (AMQP 1.0, part 3.2.1); `ttl` in milliseconds."""
    fields = [
        b"\x41" if durable else b"\x42",
        b"\x40" if priority is None else b"\x50" + bytes((priority,)),
        b"\x40" if ttl is None else b"\x70" + struct.pack(">I", ttl),
        b"\x42",
        b"\x70" + struct.pack(">I", delivery_count),
    ]
    return b"\x00\x53\x70" + encode_list(fields)


def encode_symbol(name: str) -> bytes:
    """Return a sym8; for names of the broker's own."""
    return b"\xa3" + bytes((len(name),)) + name.encode("ascii")


def encode_long(number: int) -> bytes:
    """Return a long."""
    return b"\x81" + struct.pack(">q", number)


def encode_int(number: int) -> bytes:
    """Return an int."""
    return b"\x71" + struct.pack(">i", number)


def encode_timestamp(milliseconds: int) -> bytes:
    """Return a timestamp; milliseconds since 1970."""
    return b"\x83" + struct.pack(">q", milliseconds)
