"""HTTP triggers on Starlette, with the host's way of passing requests in and responses out.

What reaches the function is what the real host sends (GrpcMessageConversionExtensions.ToRpcHttp in
https://github.com/Azure/azure-functions-host): lower-case header names; repeated headers and query values joined with
a comma; empty query values left out; the body as bytes; the URL's path escaped as it came. Function keys are not asked
for, as under Core Tools.

The platform's part is played too: the principal headers of App Service authentication are taken from whoever sends
them, and written for whoever sends a valid token of the laptop's issuer. Others get no answer here but the app's own;
in Azure the platform itself refuses them.
"""

import asyncio
import contextlib
import logging
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

import jwt
from starlette.datastructures import URL, Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from infra.local import issuer
from infra.local.host import worker
from infra.local.host.routes import RouteTable, decode_path
from infra.local.host.settings import UNLIMITED, HttpOptions

log = logging.getLogger("host.http")

MAX_LINE, MAX_HEADERS = 8 * 1024, 32 * 1024
"""Bytes of a request's first line and of its headers together: Kestrel's limits."""
DEFAULT_BODY_LIMIT = 100 * 1024 * 1024
"""Bytes; https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#limits."""
BODY_PATIENCE = 30.0
"""Seconds without a byte of a request's body after which the rest is not waited for."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_NO_BODY = {204, 205, 304}
_PLATFORMS_OWN = ("x-ms-client-principal", "x-ms-token-")
"""How the names of headers begin that only the platform may set."""


class TooManyRequests(Exception):
    """host.json's maxOutstandingRequests is used up."""


class BodyTooLarge(Exception):
    """The request body is longer than the limit."""


class BodyTooSlow(Exception):
    """The request body has not come to its end, and no more of it comes."""


class HttpTriggers:
    """The ASGI application that serves every HTTP-triggered function of the app."""

    def __init__(self, table: RouteTable, options: HttpOptions, issuer_key: str | None = None) -> None:
        self._table = table
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
            return  # it left before its request was complete: nobody to answer, nothing to run
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        too_large = _too_large(request.scope)
        if too_large:
            return Response(status_code=too_large, headers={"connection": "close"})
        found = self._table.match(request.method, decode_path(request.scope["raw_path"]))
        if found is None:
            return Response(status_code=404)
        function, values = found
        try:
            headers = _joined(self._passed_on(request.headers))
            data = await _request_data(
                request, headers, values, self._body_limit
            )  # a body that does not come takes no turn
            async with self._turn():
                result = await worker.invoke(
                    function,
                    data,
                    traceparent=traceparent_or_new(headers.get("traceparent")),
                    tracestate=headers.get("tracestate", ""),
                )
                return _response(result)
        except TooManyRequests:
            return Response(status_code=429)
        except BodyTooLarge:
            return Response(status_code=413, headers={"connection": "close"})
        except BodyTooSlow:
            return Response(status_code=408, headers={"connection": "close"})
        except worker.FunctionFailed as failure:
            log.error("%s failed\n%s", function.name, failure)  # noqa: TRY400 -- the text is the traceback
            return Response(status_code=500)

    def _passed_on(self, headers: Headers) -> Iterator[tuple[str, str]]:
        """What the function gets to see, the platform's own word for who calls included."""
        for name, value in headers.items():
            if not name.startswith(_PLATFORMS_OWN):
                yield name, value
        scheme, _, token = ",".join(headers.getlist("authorization")).partition(" ")
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


def _too_large(scope: Scope) -> HTTPStatus | None:
    if len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"]) > MAX_LINE:
        return HTTPStatus.URI_TOO_LONG
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return None


def traceparent_or_new(given: str | None) -> str:
    """Keep a valid W3C traceparent, or begin a new trace (https://www.w3.org/TR/trace-context/)."""
    if given and _TRACEPARENT.fullmatch(given):
        return given
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


async def _request_data(request: Request, headers: dict[str, str], values: dict[str, str], body_limit: int) -> Any:
    http = worker.protos.RpcHttp(
        method=request.method,
        url=str(URL(scope={**request.scope, "path": request.scope["raw_path"].decode("latin-1")})),
        headers=headers,
        params=values,
        query={name: value for name, value in _joined(request.query_params.multi_items()).items() if value},
        body=worker.bytes_data(await _body(request, body_limit)),
    )
    return worker.protos.TypedData(http=http)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


async def _body(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLarge
    chunks: list[bytes] = []
    length = 0
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(BODY_PATIENCE) as patience:
            async for chunk in request.stream():
                length += len(chunk)
                if length > limit:
                    raise BodyTooLarge
                chunks.append(chunk)
                patience.reschedule(loop.time() + BODY_PATIENCE)
    except TimeoutError as error:
        raise BodyTooSlow from error
    return b"".join(chunks)


def _response(result: Any) -> Response:
    kind = result.WhichOneof("data") if result is not None else None
    if kind is None:
        return Response(status_code=204)
    if kind != "http":
        return Response(getattr(result, kind), media_type="text/plain")
    http = result.http
    status = int(http.status_code)
    response = Response(b"" if status in _NO_BODY else http.body.bytes, status, http.headers)
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
