"""A door before any server that speaks TDS, which counts the requests that come in through it."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import override

import sqlalchemy as sa

from tests.support.tds.connection import HEADER

_LAST = 0x01
_REQUESTS = {1, 3, 6, 14}
"""Kinds of messages that are requests: batch, procedure, ATTENTION, transaction ([MS-TDS] 2.2.3.1.1). The others belong
to the login."""
_ENCRYPTED = {0x14, 0x15, 0x16, 0x17}
"""How a TLS record begins: what is in it, a login, is not seen."""


class Tap(socketserver.ThreadingTCPServer):
    """The door.

    Attributes:
        requests: how many came in so far. A request is counted before its server gets it.
    """

    daemon_threads = True

    def __init__(self, server: tuple[str, int]) -> None:
        self.requests = 0
        self.server = server
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def hear(self, packet: bytes) -> None:
        """Count a request with its last packet."""
        if packet[0] in _REQUESTS and packet[1] & _LAST:
            with self._lock:
                self.requests += 1


@contextmanager
def tapped(url: str) -> Iterator[tuple[str, Tap]]:
    """Open a door before the server of this URL; gives the URL that leads through it.

    Raises:
        ValueError: the URL asks for encryption, and nothing could be counted.
    """
    parsed = sa.make_url(url)
    if parsed.query.get("Encrypt") != "no":
        raise ValueError("requests are counted on the wire without encryption: Encrypt=no in the URL")
    with Tap((parsed.host or "", parsed.port or 1433)) as tap:
        threading.Thread(target=tap.serve_forever, args=(0.02,), daemon=True).start()
        try:
            door = parsed.set(host="127.0.0.1", port=tap.server_address[1])
            yield door.render_as_string(hide_password=False), tap
        finally:
            tap.shutdown()


class _Handler(socketserver.BaseRequestHandler):
    server: Tap

    @override
    def handle(self) -> None:
        client: socket.socket = self.request
        with socket.create_connection(self.server.server) as server, suppress(OSError, EOFError):
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            answers.start()
            while True:
                packet = _packet(client)
                self.server.hear(packet)
                server.sendall(packet)


def _pass_on(server: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while data := server.recv(65_536):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)


def _packet(client: socket.socket) -> bytes:
    head = _exactly(client, 5)
    if head[0] in _ENCRYPTED:
        return head + _exactly(client, int.from_bytes(head[3:5]))
    head += _exactly(client, HEADER - len(head))
    return head + _exactly(client, int.from_bytes(head[2:4]) - HEADER)


def _exactly(client: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = client.recv(length - len(data))
        if not part:
            raise EOFError
        data += part
    return data
