"""A connection's packets ([MS-TDS] 2.2.3), and its several ways to end."""

import select
import socket
import struct
import threading
from contextlib import suppress
from typing import Literal, NamedTuple

HEADER, PACKET = 8, 4096
ANSWER = 4
_LAST, _RESETS = 0x01, 0x08 | 0x10

_TIMEOUT = 5
"""Seconds that a connection has to end; its thread may be busy with the test's own answer."""

How = Literal["RST", "FIN"]


class Ended(Exception):
    """The connection is over."""


class Message(NamedTuple):
    """A message, of one packet or several; `resets` asks for a session that is as new."""

    kind: int
    data: bytes
    resets: bool


class Connection:
    """A socket with a client. One thread reads and writes; others may only call `ask_to_end`."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._asked, self._asking = socket.socketpair()
        self._over = threading.Event()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the client sends something, or is gone; gives False when neither happened in that time.

        Raises:
            Ended: another thread asked for it.
        """
        ready, _, _ = select.select([self._client, self._asked], [], [], seconds)
        if self._asked in ready:
            self.end("RST" if self._asked.recv(1) == b"R" else "FIN")
        return bool(ready)

    def read(self) -> Message:
        """Read a message.

        Raises:
            Ended: the client is gone.
        """
        data, resets = b"", False
        while True:
            kind, status, length = struct.unpack(">BBH4x", self._exactly(HEADER))
            data += self._exactly(length - HEADER)
            resets = resets or bool(status & _RESETS)
            if status & _LAST:
                return Message(kind, data, resets)

    def write(self, data: bytes, *, last: bool = True) -> None:
        """Write an answer, or some of it.

        Raises:
            Ended: the client is gone.
        """
        room = PACKET - HEADER
        starts = range(0, len(data), room)
        try:
            for start in starts:
                part = data[start : start + room]
                status = _LAST if last and start == starts[-1] else 0
                self._client.sendall(struct.pack(">BBHHBB", ANSWER, status, HEADER + len(part), 0, 1, 0) + part)
        except OSError as error:
            raise Ended from error

    def end(self, how: How) -> None:
        """End it.

        Raises:
            Ended: always.
        """
        if how == "RST":
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.close()
        raise Ended

    def ask_to_end(self, how: How) -> None:
        """Let the thread that waits in this connection end it, and wait for that."""
        with suppress(OSError):  # it is over already
            self._asking.send(how[:1].encode())
        self._over.wait(_TIMEOUT)

    def close(self) -> None:
        """Close its sockets."""
        for each in (self._client, self._asked, self._asking):
            each.close()
        self._over.set()

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            try:
                part = self._client.recv(length - len(data))
            except OSError as error:
                raise Ended from error
            if not part:
                raise Ended
            data += part
        return data
