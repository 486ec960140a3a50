"""Requests as bytes and paths as they are written, which a client would tidy up."""

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

TIMEOUT = 60
"""Seconds."""


def send(
    base_url: str, method: str, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Send a path as it is written; gives the status, the headers by their names in small letters, and the body."""
    connection = _connection(base_url)
    connection.putrequest(method, path)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def exchange(base_url: str, request: bytes) -> bytes:
    """Send bytes, and read until the other side closes."""
    connection = _connection(base_url)
    connection.connect()
    connection.sock.sendall(request)
    with connection.sock.makefile("rb") as file:
        answer = file.read()
    connection.close()
    return answer


def _connection(base_url: str) -> http.client.HTTPConnection:
    address = urlsplit(base_url)
    return http.client.HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT)
