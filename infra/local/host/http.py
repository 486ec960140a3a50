"""HTTP triggers with the host's way of passing requests in and responses out.

What reaches the function is what the real host sends (GrpcMessageConversionExtensions.ToRpcHttp in
https://github.com/Azure/azure-functions-host, and measured on it): lower-case header names; repeated headers joined
with a comma, and so are query values, whatever the case of their keys; empty query values left out; the body as bytes,
which a chunked request comes without; the URL's path escaped anew. Function keys are not asked for, as under Core
Tools.

The platform's part is played too: the principal headers of App Service authentication are taken from whoever sends
them, and written for whoever sends a valid token of the laptop's issuer. Others get no answer here but the app's own;
in Azure the platform itself refuses them.
"""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote

import jwt
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from infra.local import issuer
from infra.local.host.routes import RouteTable, decode_path
from infra.local.host.rpc import FunctionFailed, Invoke, bytes_data, protos
from infra.local.host.settings import UNLIMITED, HttpOptions
from infra.local.host.traces import traceparent_of

log = logging.getLogger("host.http")

MAX_LINE, MAX_HEADERS, MAX_HEADER_COUNT = 8 * 1024, 32 * 1024, 100
"""Bytes of a request's first line and of its headers together, and their number: Kestrel's limits."""
DEFAULT_BODY_LIMIT = 100 * 1024 * 1024
"""Bytes; https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#limits."""
BODY_GRACE, BODY_RATE = 5.0, 240
"""Seconds after which a body that came slower than so many bytes a second is given up: Kestrel's minimum, measured."""

_NO_BODY = {204, 205, 304}
_PLATFORMS_OWN = ("x-ms-client-principal", "x-ms-token-")
"""The beginnings of header names that only the platform may set."""
_IN_PATHS = "/-._~:@!$&'()*+,;="
"""Characters besides letters and digits that .NET's PathString leaves unescaped."""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


class TooManyRequests(Exception):
    """host.json's maxOutstandingRequests is used up."""


class BodyRefused(Exception):
    """The request body is longer than the limit, or comes too slowly."""


class BadRequest(Exception):
    """The request is none that Kestrel takes."""


class HttpTriggers:
    """The ASGI application that serves every HTTP-triggered function of the app."""

    def __init__(self, table: RouteTable, options: HttpOptions, invoke: Invoke, issuer_key: str | None = None) -> None:
        self._table = table
        self._invoke = invoke
        self._issuer_key = issuer_key
        self._outstanding = 0
        self._max_outstanding = options.max_outstanding_requests
        unlimited = options.max_concurrent_requests == UNLIMITED
        self._running = None if unlimited else asyncio.Semaphore(options.max_concurrent_requests)
        self._body_limit = int(os.environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", DEFAULT_BODY_LIMIT))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return  # the caller has gone before its request was complete
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        refused = _refused(request.scope)
        if refused:
            return Response(status_code=refused, headers={"connection": "close"})
        try:
            async with self._turn():  # before routing and before the body, as measured: both wait for their turn
                return await self._routed(request)
        except TooManyRequests:
            return Response(status_code=429, headers={"x-function-scaleout": "1"})
        except BadRequest:
            return Response(status_code=400, headers={"connection": "close"})
        except BodyRefused as error:
            log.error("%s %s: %s", request.method, request.url.path, error)  # noqa: TRY400 -- that is the story
            return Response(status_code=500, headers={"connection": "close"})

    async def _routed(self, request: Request) -> Response:
        path = decode_path(request.scope["raw_path"])
        found = self._table.match(request.method, path)
        if found is None:
            return Response(status_code=404)
        function, values = found
        headers = _joined(self._passed_on(request.scope["headers"]))
        http = protos.RpcHttp(
            method=request.method,
            url=_url(request, path),
            headers=headers,
            params=values,
            query=_query(request.scope["query_string"]),
            body=bytes_data(await _body(request, self._body_limit)),
        )
        try:
            result = await self._invoke(
                function,
                protos.TypedData(http=http),
                traceparent=traceparent_of(headers.get("traceparent")),
                tracestate=headers.get("tracestate", ""),
            )
            return _response(result)
        except FunctionFailed as failure:
            log.error("%s failed\n%s", function.name, failure)  # noqa: TRY400 -- the text is the traceback
        except ValueError as error:
            log.error("%s gave no valid response: %s", function.name, error)  # noqa: TRY400 -- it says which part
        return Response(status_code=500)

    def _passed_on(self, raw: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
        """The headers that the function gets, with the platform's own principal headers."""
        authorization = []
        for raw_name, raw_value in raw:
            name, value = raw_name.decode(), raw_value.decode()
            if name == "authorization":
                authorization.append(value)
            if not name.startswith(_PLATFORMS_OWN):
                yield name, value
        scheme, _, token = ",".join(authorization).partition(" ")
        if self._issuer_key is not None and scheme.lower() == "bearer":
            try:
                yield "x-ms-client-principal", issuer.principal(self._issuer_key, token)
            except jwt.InvalidTokenError as error:
                log.warning("a token is not valid: %s", error)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Hold one of maxConcurrentRequests, waiting for it as one of maxOutstandingRequests."""
        if self._outstanding == self._max_outstanding:
            raise TooManyRequests
        self._outstanding += 1
        try:
            async with self._running or contextlib.nullcontext():
                yield
        finally:
            self._outstanding -= 1


def _refused(scope: Scope) -> HTTPStatus | None:
    """Kestrel's refusal of a request before the host sees it; None if it accepts the request."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"]) > MAX_LINE:
        return HTTPStatus.URI_TOO_LONG
    if len(headers) > MAX_HEADER_COUNT or sum(len(name) + len(value) for name, value in headers) > MAX_HEADERS:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    target: bytes = scope["raw_path"] + scope["query_string"]
    if not target.isascii() or b"%00" in scope["raw_path"] or not all(_is_utf8(value) for _, value in headers):
        return HTTPStatus.BAD_REQUEST
    return None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _url(request: Request, path: str) -> str:
    """Escape the path anew, as the host does; the query stands as it came."""
    query = request.scope["query_string"].decode("ascii")
    # a percent sign is left where decoding has left an escape
    escaped = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", quote(path, safe=_IN_PATHS + "%"))
    return f"{request.url.scheme}://{request.url.netloc}{escaped}{'?' if query else ''}{query}"


def _query(query_string: bytes) -> dict[str, str]:
    """Join the values of a key in whatever case, under its last spelling; what is empty is left out."""
    joined: dict[str, tuple[str, str]] = {}
    for name, value in parse_qsl(query_string.decode("ascii"), keep_blank_values=True):
        _, earlier = joined.get(name.lower(), ("", None))
        joined[name.lower()] = (name, value if earlier is None else f"{earlier},{value}")
    return {name: value for name, value in joined.values() if value}


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


async def _body(request: Request, limit: int) -> bytes:
    """Read as many bytes as Content-Length says; the host ignores a body without it."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyRefused(f"the body has {declared} bytes, more than {limit}")
    chunks: list[bytes] = []
    length = 0
    loop = asyncio.get_running_loop()
    begin = loop.time()
    try:
        async with asyncio.timeout(BODY_GRACE) as patience:
            async for chunk in request.stream():
                length += len(chunk)
                if declared:
                    chunks.append(chunk)
                patience.reschedule(begin + max(BODY_GRACE, length / BODY_RATE))
    except TimeoutError as error:
        raise BodyRefused(f"the body comes slower than {BODY_RATE} bytes a second") from error
    return b"".join(chunks)


class _Answer(Response):
    """A response without a length of its own: it is chunked unless the function gave one."""

    def init_headers(self, headers: Any = None) -> None:
        self.raw_headers = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


def _response(result: Any) -> Response:
    """Render a function's return value.

    Raises:
        ValueError: A header is none, or the length that it names is none of this body.
    """
    kind = result.WhichOneof("data") if result is not None else None
    if kind is None:
        return Response(status_code=204)
    if kind != "http":
        return _Answer(getattr(result, kind), headers={"content-type": "text/plain; charset=utf-8"})
    http = result.http
    status = int(http.status_code)
    body = b"" if status in _NO_BODY else http.body.bytes
    headers = {name.lower(): value for name, value in http.headers.items()}
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name.encode()) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"{name!r} is no valid header")
    if status in _NO_BODY:
        headers.pop("content-length", None)
    elif int(headers.get("content-length", len(body))) < len(body):
        raise ValueError(f"the Content-Length {headers['content-length']} is too small for {len(body)} bytes")
    response = _Answer(body, status, headers)
    for cookie in http.cookies or ():
        response.raw_headers.append((b"set-cookie", _set_cookie(cookie).encode("latin-1")))
    return response


def _set_cookie(cookie: Any) -> str:
    """Render an RpcHttpCookie as the host does, which knows just these attributes."""
    parts = [f"{cookie.name}={cookie.value}"]
    if cookie.expires:
        moment = datetime.fromtimestamp(cookie.expires.value.seconds, UTC)
        parts.append(f"expires={format_datetime(moment, usegmt=True)}")
    if cookie.max_age:
        parts.append(f"max-age={int(cookie.max_age.value)}")
    parts += [
        f"{label}={value.value}"
        for label, value in (("domain", cookie.domain), ("path", cookie.path))
        if value and value.value
    ]
    if cookie.secure and cookie.secure.value:
        parts.append("secure")
    if cookie.same_site:
        parts.append(f"samesite={('', 'lax', 'strict', 'none')[cookie.same_site]}")
    if cookie.http_only and cookie.http_only.value:
        parts.append("httponly")
    return "; ".join(parts)
