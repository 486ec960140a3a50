"""Which requests the host lets in, byte for byte: what fits, what names it, and what no foreign page has made."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from infra.local.host.admission import LARGEST_HEAD
from tests.support.host import HostProcess, running_host_process

APP = Path(__file__).parent / "apps" / "web"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def host() -> Iterator[HostProcess]:
    with running_host_process(APP, {}, "--name", "Build-Box") as host:
        yield host


def connected(host: HostProcess) -> socket.socket:
    address = urlsplit(host.url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def status(host: HostProcess, *lines: str, body: bytes = b"") -> int:
    """What is answered to a request of these lines."""
    with connected(host) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        answer = b""
        while b"\r\n" not in answer:
            more = connection.recv(4096)
            assert more, "no answer"
            answer += more
    return int(answer.split(b" ", 2)[1])


GET = "GET /api/nothing HTTP/1.1"


@pytest.mark.parametrize("lines", [(), ("Host: localhost", "Host: localhost"), ("Host: localhost", "Host: evil.test")])
def test_a_request_has_one_host_header(host: HostProcess, lines: tuple[str, ...]) -> None:
    assert status(host, GET, *lines) == 400
    assert status(host, "GET /admin/host/status HTTP/1.1", *lines) == 400
    assert status(host, "GET /api/nothing HTTP/1.0", *lines) == 400


@pytest.mark.parametrize(
    "name",
    [
        *("evil.test", "evil.test:7071", "localhost.evil.test", "127.0.0.1.evil.test", "evil.test#localhost"),
        *("localhost@evil.test", "localhost:x", "", "[evil]", "other-box", "127.0.0.1:80:80"),
    ],
)
def test_a_name_that_is_not_this_hosts_is_refused(host: HostProcess, name: str) -> None:
    assert status(host, GET, f"Host: {name}") == 400
    assert status(host, "GET /admin/functions HTTP/1.1", f"Host: {name}") == 400


@pytest.mark.parametrize(
    "name",
    ["localhost", "LOCALHOST:7071", "shop.localhost", "127.0.0.1:1", "[::1]:7071", "[::1]", "192.0.2.7", "build-box:1"],
)
def test_loopback_addresses_and_configured_names_are_let_in(host: HostProcess, name: str) -> None:
    assert status(host, GET, f"Host: {name}") == 204


POST = "POST /api/things/special HTTP/1.1"
RUN = "POST /admin/functions/nothing HTTP/1.1"
JSON = ("Content-Type: application/json", "Content-Length: 2")


@pytest.mark.parametrize(
    "page",
    [
        *(["Origin: http://evil.test"], ["Origin: null"], ["Origin: http://localhost:3000"], ["Origin: "]),
        *(["Origin: https://localhost:7071"], ["Origin: http://localhost:7071", "Origin: http://evil.test"]),
        *(["Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"]),
        ["Origin: http://localhost:7071", "Sec-Fetch-Site: cross-site"],
    ],
)
def test_a_page_of_another_origin_changes_nothing_and_reaches_no_admin_route(
    host: HostProcess, page: list[str]
) -> None:
    here = "Host: localhost:7071"
    assert status(host, POST, here, *page, *JSON, body=b"{}") == 403
    assert status(host, "DELETE /api/things/special HTTP/1.1", here, *page) == 403
    assert status(host, RUN, here, *page, *JSON, body=b"{}") == 403
    assert status(host, "GET /admin/functions HTTP/1.1", here, *page) == 403
    assert status(host, "GET /%61dmin/functions HTTP/1.1", here, *page) == 403
    assert status(host, GET, here, *page) == 204, "which changes nothing, and which no page can read"


@pytest.mark.parametrize(
    "page", [[], ["Origin: http://localhost:7071"], ["Sec-Fetch-Site: same-origin"], ["Sec-Fetch-Site: none"]]
)
def test_its_own_pages_and_what_is_no_browser_may_do_all(host: HostProcess, page: list[str]) -> None:
    here = "Host: localhost:7071"
    assert status(host, POST, here, *page, *JSON, body=b"{}") == 200
    assert status(host, RUN, here, *page, *JSON, body=b"{}") == 202
    assert status(host, "GET /admin/host/status HTTP/1.1", here, *page) == 200


@pytest.mark.parametrize(
    "odd",
    [
        *(["Upgrade: websocket", "Connection: Upgrade"], ["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"]),
        ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"],
        *(["X-Forwarded-For: not an address"], ["X-Forwarded-For: "], ["X-Forwarded-For: 192.0.2.7, [::1"]),
        *(["X-Forwarded-Proto: gopher"], ["X-Forwarded-Proto: wss"], ["Forwarded: for=_x;proto=?"]),
        ["X-Forwarded-Host: evil.test", "X-Forwarded-Port: none"],
    ],
)
def test_upgrades_and_forwarding_headers_make_no_difference(host: HostProcess, odd: list[str]) -> None:
    assert status(host, GET, "Host: localhost", *odd) == 204
    assert status(host, "GET /admin/host/status HTTP/1.1", "Host: localhost", *odd) == 200


def pieces(kind: str) -> Iterator[bytes]:
    """A request that does not get anywhere, however long one reads."""
    chunked = b"POST /api/things/special HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    begin, more = {
        "one header": (b"GET /api/nothing HTTP/1.1\r\nHost: localhost\r\nX: ", b"x" * 65_536),
        "headers": (b"GET /api/nothing HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n" * 10_000),
        "a path": (b"GET /", b"x" * 65_536),
        "a method": (b"", b"X" * 65_536),
        "trailers": (chunked + b"1\r\nx\r\n0\r\n", b"X: y\r\n" * 10_000),
        "one trailer": (chunked + b"1\r\nx\r\n0\r\nX: ", b"x" * 65_536),
        "an extension": (chunked + b"1;", b"x" * 65_536),
    }[kind]
    yield begin
    for _ in range(60 * MIB // len(more)):
        yield more


@pytest.mark.parametrize(
    "kind", ["one header", "headers", "a path", "a method", "trailers", "one trailer", "an extension"]
)
def test_what_never_comes_to_an_end_is_ended_and_costs_no_memory(host: HostProcess, kind: str) -> None:
    process = psutil.Process(host.process.pid)
    before, sent = process.memory_info().rss, 0
    with connected(host) as connection:
        try:
            for piece in pieces(kind):
                connection.sendall(piece)
                sent += len(piece)
        except OSError:
            pass
        else:
            pytest.fail("all of it was read")
    assert sent < 30 * MIB, "or nothing was ended"
    assert process.memory_info().rss - before < 16 * MIB
    assert status(host, GET, "Host: localhost") == 204


def test_a_head_that_is_too_large_is_told_so(host: HostProcess) -> None:
    with connected(host) as connection:
        connection.sendall(GET.encode() + b"\r\nHost: localhost\r\nX: " + b"x" * (LARGEST_HEAD + 1))
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


def test_a_large_body_is_no_large_head(host: HostProcess) -> None:
    with connected(host) as connection:
        connection.sendall(b"PUT /api/mirror HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(1_000):
            connection.sendall(b"x" * 1_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
