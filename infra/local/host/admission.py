"""Admits requests that are not too large, that name this host by its own name, and that no foreign web page has sent.

The payment provider of a laptop has the same door.

A web page that a developer visits can send requests to this machine: to its address, as far as the browser lets it, or
to a name of its own that leads here by DNS. Admin routes ask for no key, and functions may be anonymous.
"""

import ipaddress
from collections.abc import Collection
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 64 * 1024
"""Bytes that may come before a request gets any further: to its body, by a piece of it, or to its end. Kestrel's limits
of what a head may hold (infra/local/host/http.py) are lower; this one bounds what is read at all."""

_READS = {"GET", "HEAD", "OPTIONS"}
_OWN_PAGES = {"same-origin", "none"}
"""Browsers' values of Sec-Fetch-Site for a page of this host, and for an address that a person entered."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\nServer: Kestrel\r\n\r\n"
)


class BoundedHead(HttpToolsProtocol):
    """uvicorn's protocol, which ends a connection that sends heads, chunk extensions or trailers without an end."""

    _unused = 0
    _got_further = False

    def on_headers_complete(self) -> None:
        """Take note that the head is complete."""
        self._got_further = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take note of a piece of the body."""
        self._got_further = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take note that the request is complete."""
        self._got_further = True
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless too much has come that leads nowhere."""
        self._got_further = False
        super().data_received(data)
        self._unused = 0 if self._got_further else self._unused + len(data)
        if self._unused > LARGEST_HEAD and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()


def admitting(app: ASGIApp, names: Collection[str] = ()) -> ASGIApp:
    """The application behind the door; `names` are this computer's by which it may be called, beside loopback's."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refused = _wrong_host(headers, names) or _foreign_page(scope, headers)
        if refused is None:
            await app(scope, receive, send)
            return
        status, why = refused
        await PlainTextResponse(f"{why}\n", status, {"connection": "close"})(scope, receive, send)

    return call


def _wrong_host(headers: Headers, names: Collection[str]) -> tuple[HTTPStatus, str] | None:
    given = headers.getlist("host")
    if len(given) != 1:
        return HTTPStatus.BAD_REQUEST, "A request has one Host header."
    name, colon, port = given[0].rpartition(":")
    if not colon or "]" in port:
        name, port = given[0], ""
    name = name.lower().removesuffix(".")
    known = name == "localhost" or name.endswith(".localhost") or name in names or _is_address(name)
    if not known or not ((port.isascii() and port.isdecimal()) or not port):
        return HTTPStatus.BAD_REQUEST, (
            "The Host header is none of this program's names: call it by localhost, by an IP address, or by a name "
            "that it was started with."
        )
    return None


def _foreign_page(scope: Scope, headers: Headers) -> tuple[HTTPStatus, str] | None:
    """Refuse changes that a page of another origin requests, and all its requests to admin routes."""
    if scope["method"] in _READS and not scope["path"].lower().startswith("/admin"):
        return None
    origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
    own = f"http://{headers['host']}".lower()
    if all(origin.lower() == own for origin in origins) and all(site in _OWN_PAGES for site in sites):
        return None
    return HTTPStatus.FORBIDDEN, "Web pages of other origins may not do this."


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True
