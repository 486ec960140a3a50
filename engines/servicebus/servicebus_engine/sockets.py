"""Handling of sockets that clients of Service Bus need, and proton's own lacks.

- SASL: .NET's client offers the mechanism MSSBCBS alone, which proton cannot offer. The exchange is done here, before
  proton sees the stream. Any client gets in: the engine listens on the loopback address and knows no users.
- Message format: proton does not show it, and it alone tells a batch (0x80013700) from a message whose body looks like
  one. It is written over the delivery tag, which proton does show and which the engine has no other use for.
- HTTP: answered here, with the health of the engine or a refusal, as proton would answer it with bytes of AMQP.
- Drain: a receiver that drains waits for a flow, also when its credit is used up already (AMQP 1.0, part 2.6.7), and
  proton answers only where there is credit to give back. So a drain gets one credit more than the client gave.
"""

import logging
import re
import struct
from collections.abc import Callable
from typing import Any, Final

from proton import Endpoint, ProtonException
from proton._handlers import IOHandler  # proton has no public name for it, though Container takes one

from servicebus_engine import wire
from servicebus_engine.errors import ServiceBusError

logger = logging.getLogger(__name__)

LARGEST_FRAME: Final = 64 * 1024
"""Bytes in a frame at most, as Service Bus announces."""

BATCH_TAG: Final = "b"
"""The delivery tag that a batch gets; any other transfer has another."""

_BATCH_FORMAT: Final = 0x80013700
_MECHANISMS: Final = (b"MSSBCBS", b"ANONYMOUS", b"PLAIN")
"""SASL mechanisms: .NET's client uses MSSBCBS, Python's and JavaScript's ANONYMOUS; PLAIN is for other clients."""

_SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"
_AMQP_HEADER: Final = b"AMQP\x00\x01\x00\x00"
_HTTP: Final = (b"GET ", b"PUT ", b"POST ", b"DELETE ", b"HEAD ")
_HEALTH: Final = re.compile(rb"(GET|HEAD) /health/?(\?\S*)? HTTP/1\.[01]\r")
"""The official emulator's answer on its port 5300; see HealthCheckApiSchema.md of its installer."""
_HEALTHY: Final = b'{"status":"healthy","message":"Service is healthy."}\n'
_NO_HTTP: Final = b"This engine has no administration over HTTP: its entities are those of its configuration file.\n"
_BEGIN: Final = b"\x00\x53\x11"
_FLOW: Final = b"\x00\x53\x13"
_TRANSFER: Final = b"\x00\x53\x14"
_END: Final = b"\x00\x53\x17"
_OF_SESSIONS: Final = tuple(bytes((0, 0x53, code)) for code in range(0x12, 0x18))
"""From attach to end: all that is of a session. A close or an empty frame is of the connection, and on channel 0."""
_SASL_INIT: Final = b"\x00\x53\x41"
_LINK_CREDIT, _DRAIN = 6, 8  # positions among the fields of a flow (part 2.7.4)
_DELIVERY_TAG, _MESSAGE_FORMAT = 2, 3  # and of a transfer (part 2.7.5)
_TRUE: Final = (b"\x41", b"\x56\x01")


class Peer:
    """The bytes that one client sends, on their way to proton.

    Attributes:
        answer: bytes for the client that proton must not see.
        read: bytes for proton, which it had no room for yet.
        refused: the client is to be hung up on after the answer.
    """

    def __init__(self) -> None:
        """Begin before the first byte."""
        self.answer = b""
        self.read = b""
        self.refused = False
        self._buffer = b""
        self._read = self._header
        self._ended: set[bytes] = set()

    def feed(self, received: bytes) -> bytes:
        """Take bytes from the socket; returns the bytes for proton."""
        self._buffer += received
        out: list[bytes] = []
        while not self.refused and (part := self._read()) is not None:
            out.append(part)
        return b"".join(out)

    def _header(self) -> bytes | None:
        """Read the first eight bytes; a client that speaks no AMQP is left to proton, which tells it so."""
        header = self._buffer[:8]
        if len(header) < 8 and _AMQP_HEADER.startswith(header[:4]):  # noqa: PLR2004 (the length of a header)
            return None
        if header == _SASL_HEADER:
            names = b"".join(bytes((len(name),)) + name for name in _MECHANISMS)
            array = b"\xe0" + bytes((len(names) + 2, len(_MECHANISMS))) + b"\xa3" + names
            self.answer += _SASL_HEADER + _sasl_frame(b"\x00\x53\x40\xc0" + bytes((len(array) + 1, 1)) + array)
            self._buffer = self._buffer[8:]
            self._read = self._sasl
            return b""
        if header.startswith(_HTTP):
            self._read = self._http
            return b""
        self._read = self._frames if header == _AMQP_HEADER else self._rest
        self._buffer = self._buffer[8:]
        return header

    def _http(self) -> bytes | None:
        """Read only the first line of a request, answer, and close the connection."""
        if b"\n" in self._buffer or len(self._buffer) > LARGEST_FRAME:
            self.answer, self.refused = _http_answer(self._buffer), True
        return None

    def _sasl(self) -> bytes | None:
        """Read the frame in which the client names its mechanism."""
        size = int.from_bytes(self._buffer[:4])
        if len(self._buffer) < 4 or (8 <= size <= LARGEST_FRAME and len(self._buffer) < size):  # noqa: PLR2004 (a size, a frame header)
            return None
        accepted = _mechanism(self._buffer[:size]) in _MECHANISMS
        self.answer += _sasl_frame(b"\x00\x53\x44\xc0\x03\x01\x50" + (b"\x00" if accepted else b"\x01"))
        self.refused = not accepted
        self._buffer = self._buffer[size:]
        self._read = self._header
        return b""

    def _frames(self) -> bytes | None:
        """Read all frames that are complete; one of an impossible size is left to proton, which tells the client so."""
        buffer, at, out = self._buffer, 0, []
        while len(buffer) - at >= 8:  # noqa: PLR2004 (a frame's header)
            size = int.from_bytes(buffer[at : at + 4])
            if not 8 <= size <= LARGEST_FRAME:  # noqa: PLR2004 (as above)
                self._read = self._rest
                break
            if len(buffer) - at < size:
                break
            frame = buffer[at : at + size]
            at += size
            if not self._comes_after_the_end(frame):
                out.append(_for_proton(frame))
        self._buffer = buffer[at:]
        return b"".join(out) if out or self._read == self._rest else None

    def _comes_after_the_end(self, frame: bytes) -> bool:
        """Return whether the client has ended the session of a frame already."""
        channel, start = frame[6:8], frame[4] * 4
        performative = frame[start : start + 3]
        if performative == _BEGIN:
            self._ended.discard(channel)
        dropped = channel in self._ended and performative in _OF_SESSIONS
        if performative == _END:
            self._ended.add(channel)
        return dropped

    def _rest(self) -> bytes | None:
        rest, self._buffer = self._buffer, b""
        return rest or None


class ServiceBusIO(IOHandler):
    """Proton's handler of sockets, with a `Peer` before every connection."""

    def on_selectable_readable(self, event: Any) -> None:
        """Read the bytes that have arrived."""
        selectable = event.selectable
        transport = selectable._transport  # noqa: SLF001 (as the handler that this one is does)
        if not transport:
            return
        try:
            if transport.capacity() > 0:
                self._read(event, selectable, transport)
        except OSError as error:  # the client hung up
            logger.debug("a connection broke: %s", error)
            transport.close_tail()
        except (ProtonException, OverflowError) as error:
            logger.info("a connection ends: %s", error)
            self.on_selectable_error(event)
            return
        if selectable._transport:  # noqa: SLF001 (as above)
            self.update(transport, selectable, selectable._reactor.now)  # noqa: SLF001 (as above)
        self._hang_up_if_over(event)

    def _read(self, event: Any, selectable: Any, transport: Any) -> None:
        received = selectable.recv(LARGEST_FRAME)
        if not received:
            self.on_selectable_error(event)
            return
        peer = getattr(selectable, "peer", None)
        if peer is None:
            peer = selectable.peer = Peer()
            transport.max_frame_size = LARGEST_FRAME  # announced in what is sent first
        peer.read += peer.feed(received)
        if peer.answer:
            selectable.send(peer.answer)
            peer.answer = b""
        push(peer, transport)
        if peer.refused:
            self.on_selectable_error(event)

    def on_selectable_writable(self, event: Any) -> None:
        """Write outgoing bytes, and give proton the input that it had no room for before."""
        try:
            super().on_selectable_writable(event)
            peer, transport = getattr(event.selectable, "peer", None), event.selectable._transport  # noqa: SLF001 (as above)
            if peer and peer.read and transport:
                push(peer, transport)
        except ProtonException as error:
            logger.info("a connection ends: %s", error)
            self.on_selectable_error(event)
        self._hang_up_if_over(event)

    def _hang_up_if_over(self, event: Any) -> None:
        """Close the socket of a connection that proton has ended with nothing left to say: it would stay for ever.

        One that the client has closed is not over: the broker has yet to answer.
        """
        transport = event.selectable._transport  # noqa: SLF001 (as above)
        connection = transport and transport.connection
        if connection and connection.state & Endpoint.REMOTE_CLOSED:
            return
        if transport and _or_nothing(transport.capacity) == 0 and _or_nothing(transport.pending) == 0:
            self.on_selectable_error(event)


def push(peer: Peer, transport: Any) -> None:
    """Give proton as much as it has room for; the rest stays with the peer, for the next time."""
    while peer.read and (capacity := transport.capacity()) > 0:
        transport.push(peer.read[:capacity])
        peer.read = peer.read[capacity:]


def _or_nothing(bytes_left: Callable[[], int]) -> int:
    try:
        return max(0, bytes_left())
    except ProtonException:  # the end of the stream
        return 0


def _http_answer(request: bytes) -> bytes:
    status, kind, body = b"501 Not Implemented", b"text/plain", _NO_HTTP
    if _HEALTH.match(request):
        status, kind, body = b"200 OK", b"application/json", _HEALTHY
    head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    return head % (status, kind, len(body)) + (b"" if request.startswith(b"HEAD") else body)


def _sasl_frame(body: bytes) -> bytes:
    return struct.pack(">IBBH", 8 + len(body), 2, 1, 0) + body


def _mechanism(frame: bytes) -> bytes | None:
    """Return the mechanism that a sasl-init names; None if the frame is no such thing."""
    found = _fields(frame, _SASL_INIT)
    if found is None or not found[1] or found[1][0][:1] != b"\xa3":
        return None
    return found[1][0][2:]


def _for_proton(frame: bytes) -> bytes:
    """Return a frame as proton is to see it; one that is not understood is proton's to refuse."""
    start = frame[4] * 4
    if frame[start : start + 3] == _TRANSFER:
        return _with_format_as_tag(frame)
    if frame[start : start + 3] == _FLOW:
        return _with_credit_to_drain(frame)
    return frame


def _with_format_as_tag(frame: bytes) -> bytes:
    found = _fields(frame, _TRANSFER)
    if found is None or len(found[1]) <= _DELIVERY_TAG or found[1][_DELIVERY_TAG] == b"\x40":
        return frame  # the delivery began in an earlier frame
    body, fields, end = found
    fields[_DELIVERY_TAG] = b"\xa0\x00"  # no longer than any other: a frame of the largest size must not grow
    if len(fields) > _MESSAGE_FORMAT:
        if int.from_bytes(fields[_MESSAGE_FORMAT][1:]) == _BATCH_FORMAT:
            fields[_DELIVERY_TAG] = b"\xa0\x01" + BATCH_TAG.encode()
        fields[_MESSAGE_FORMAT] = b"\x40"  # which nobody reads any more, and makes the room
    return _rebuilt(frame, body, _TRANSFER, fields, end)


def _with_credit_to_drain(frame: bytes) -> bytes:
    found = _fields(frame, _FLOW)
    if found is None or len(found[1]) <= _DRAIN or found[1][_DRAIN] not in _TRUE:
        return frame
    body, fields, end = found
    credit = int.from_bytes(fields[_LINK_CREDIT][1:])
    fields[_LINK_CREDIT] = b"\x70" + struct.pack(">I", min(credit + 1, 0xFFFF_FFFF))
    return _rebuilt(frame, body, _FLOW, fields, end)


def _fields(frame: bytes, performative: bytes) -> tuple[int, list[bytes], int] | None:
    """Return where a frame's body begins, the encoded fields of its performative, and where these end."""
    body = frame[4] * 4
    if body < 8 or frame[body : body + 3] != performative:  # noqa: PLR2004 (a frame's header)
        return None
    try:
        end = wire.end_of_value(frame, body + 3)
        return body, wire.split_list(frame[body + 3 : end]), end
    except ServiceBusError:
        return None


def _rebuilt(frame: bytes, body: int, performative: bytes, fields: list[bytes], end: int) -> bytes:
    changed = frame[4:body] + performative + wire.encode_list(fields) + frame[end:]
    return struct.pack(">I", len(changed) + 4) + changed
