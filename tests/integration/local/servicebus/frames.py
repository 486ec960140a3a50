"""AMQP frames byte by byte, for what no client sends."""

import socket
import struct
from collections.abc import Iterable

SASL = b"AMQP\x03\x01\x00\x00"
AMQP = b"AMQP\x00\x01\x00\x00"
NULL, TRUE, FALSE = b"\x40", b"\x41", b"\x42"

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
SENDER, RECEIVER = FALSE, TRUE


def uint(number: int) -> bytes:
    return b"\x70" + struct.pack(">I", number)


def ulong(number: int) -> bytes:
    return b"\x80" + struct.pack(">Q", number)


def text(value: str) -> bytes:
    return b"\xb1" + struct.pack(">I", len(value.encode())) + value.encode()


def symbol(value: str) -> bytes:
    return b"\xa3" + bytes((len(value),)) + value.encode("ascii")


def binary(value: bytes) -> bytes:
    return b"\xb0" + struct.pack(">I", len(value)) + value


def collected(code: int, items: list[bytes]) -> bytes:
    """Return a list32 (0xd0) or a map32 (0xd1)."""
    body = b"".join(items)
    return bytes((code,)) + struct.pack(">II", len(body) + 4, len(items)) + body


def listed(*items: bytes) -> bytes:
    return collected(0xD0, list(items))


def mapped(*items: bytes) -> bytes:
    return collected(0xD1, list(items))


def described(code: int, value: bytes) -> bytes:
    return bytes((0, 0x53, code)) + value


def frame(performative: int, fields: Iterable[bytes], payload: bytes = b"", channel: int = 0) -> bytes:
    body = described(performative, listed(*fields)) + payload
    return struct.pack(">IBBH", len(body) + 8, 2, 0, channel) + body


def opened() -> bytes:
    """Return what begins a connection with one session."""
    return AMQP + frame(OPEN, [text("odd")]) + frame(BEGIN, [NULL, uint(0), uint(1000), uint(1000)])


def attached(name: str, handle: int, role: bytes, address: str) -> bytes:
    """Return an attach to an address, or from it."""
    return frame(ATTACH, attach_fields(name, handle, role, address))


def attach_fields(name: str, handle: int, role: bytes, address: str) -> list[bytes]:
    source = described(0x28, listed(text(address if role == RECEIVER else "here")))
    target = described(0x29, listed(text(address if role == SENDER else "here")))
    return [text(name), uint(handle), role, NULL, NULL, source, target, NULL, NULL, uint(0)]


def flow(handle: int, credit: int, *, drain: bool = False, delivery_count: int = 0) -> bytes:
    """Return a flow that gives a link of the client's credit."""
    session = [uint(0), uint(1000), uint(0), uint(1000)]
    return frame(FLOW, [*session, uint(handle), uint(delivery_count), uint(credit), NULL, TRUE if drain else FALSE])


def transfer(handle: int, number: int, payload: bytes, *, message_format: int = 0, more: bool = False) -> bytes:
    """Return a transfer whose delivery has the number for its id and its tag."""
    begin = [uint(handle), uint(number), binary(struct.pack(">I", number)), uint(message_format), FALSE]
    return frame(TRANSFER, [*begin, TRUE if more else FALSE], payload)


def exchange(port: int, sent: bytes, wait: float = 10.0) -> bytes:
    """Send bytes, then hang up on one side; returns all that the engine says until it hangs up too."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        said = []
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                said.append(part)
        except ConnectionError:
            pass  # it hung up first
        return b"".join(said)


class Conversation:
    """A connection that is read frame by frame."""

    def __init__(self, port: int, sent: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._buffer = b""
        self.say(sent)
        self.header = self._take(8)

    def say(self, sent: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(sent)

    def hear(self, performative: int) -> bytes:
        """Return the next frame of a kind, without its header; others are passed over."""
        while True:
            size = int.from_bytes(self._take(4))
            rest = self._take(size - 4)
            if rest[4:7] == bytes((0, 0x53, performative)):
                return rest[4:]

    def hear_header(self) -> bytes:
        """Return the next eight bytes."""
        return self._take(8)

    def hang_up(self) -> None:
        """Send no more, and wait until the engine has dealt with what was sent."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(65536):
                pass
        except OSError:
            pass  # the engine hung up first
        self._socket.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            part = self._socket.recv(65536)
            if not part:
                raise ConnectionError("the engine hung up")
            self._buffer += part
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken
