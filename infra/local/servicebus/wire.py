"""AMQP 1.0 message sections as bytes: splitting, decoding and encoding them.

A broker must hand on the bare message exactly as it came (AMQP 1.0, part 3.2), so bodies are never decoded here; only
the header and the annotations, which belong to the broker, are written anew.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

from proton import Data, DataException, Described

from infra.local.servicebus.errors import ServiceBusError, malformed

HEADER: Final = 0x70
DELIVERY_ANNOTATIONS: Final = 0x71
MESSAGE_ANNOTATIONS: Final = 0x72
PROPERTIES: Final = 0x73
APPLICATION_PROPERTIES: Final = 0x74
DATA: Final = 0x75
AMQP_VALUE: Final = 0x77
FOOTER: Final = 0x78

_VBIN8: Final = 0xA0
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
            position = _end_of_value(raw, position)
        except (IndexError, struct.error, KeyError) as error:
            raise malformed(f"The message is not valid AMQP at byte {start}.") from error
        if position > len(raw) or not HEADER <= code <= FOOTER:
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


def _end_of_value(raw: bytes, position: int) -> int:
    kind = raw[position] >> 4
    if kind in _WIDTH_OF_FIXED:
        return position + 1 + _WIDTH_OF_FIXED[kind]
    if kind in (0xA, 0xC, 0xE):
        return position + 2 + raw[position + 1]
    if kind in (0xB, 0xD, 0xF):
        length: int = struct.unpack_from(">I", raw, position + 1)[0]
        return position + 5 + length
    raise KeyError(kind)


def batched_messages(raw: bytes) -> list[bytes] | None:
    """Return the messages inside a batch transfer, or None if the transfer is one message.

    A batch (message format 0x80013700) is an envelope whose data sections are encoded messages. Proton does not show
    the message format, so an envelope is recognised by its shape: every data section is a whole message with a body.
    The price: one message whose binary body is itself an encoded AMQP message is taken for a batch.
    """
    messages = []
    for code, start, end in split_sections(raw):
        if code == DATA:
            offset = start + (raw[start + 1] == 0x80) * 7 + 3  # noqa: PLR2004 (a ulong descriptor is 7 bytes longer)
            payload = raw[offset + 2 : end] if raw[offset] == _VBIN8 else raw[offset + 5 : end]
            if not _is_message(payload):
                return None
            messages.append(payload)
        elif code in (AMQP_VALUE, 0x76):
            return None
    return messages or None


def _is_message(payload: bytes) -> bool:
    if payload[:2] not in (b"\x00\x53", b"\x00\x80"):
        return False
    try:
        return any(DATA <= code <= AMQP_VALUE for code, _, _ in split_sections(payload))
    except ServiceBusError:
        return False


def decode_section(section: bytes) -> Any:
    """Return the value of one section as Python data.

    Raises:
        ServiceBusError: the section does not decode.
    """
    data = Data()
    try:
        data.decode(section)
        data.next()
        described = data.get_object()
    except (DataException, ValueError) as error:
        raise malformed("A section of the message does not decode.") from error
    return described.value if isinstance(described, Described) else described


def encode_section(code: int, value: Any) -> bytes:
    """Return `value` as the described section `code`."""
    data = Data()
    data.put_described()
    data.enter()
    data.put_ulong(code)
    data.put_object(value)
    data.exit()
    return bytes(data.encode())


def encode_value(value: Any) -> bytes:
    """Return one AMQP value; proton's number classes (`ulong`, `timestamp`, ...) choose its type."""
    data = Data()
    data.put_object(value)
    return bytes(data.encode())


def encode_header(*, durable: bool, priority: int | None, ttl: int | None, delivery_count: int) -> bytes:
    """Return a header section (AMQP 1.0, part 3.2.1); `ttl` in milliseconds."""
    fields = (
        (b"\x41" if durable else b"\x42")
        + (b"\x40" if priority is None else b"\x50" + bytes((priority,)))
        + (b"\x40" if ttl is None else b"\x70" + struct.pack(">I", ttl))
        + b"\x42"
        + b"\x70"
        + struct.pack(">I", delivery_count)
    )
    return b"\x00\x53\x70\xc0" + bytes((len(fields) + 1, 5)) + fields


def encode_symbol(name: str) -> bytes:
    """Return a sym8."""
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


def encode_annotations(entries: list[bytes]) -> bytes:
    """Return a message-annotations section from encoded keys and values, alternating."""
    body = b"".join(entries)
    return b"\x00\x53\x72\xd1" + struct.pack(">II", len(body) + 4, len(entries)) + body
