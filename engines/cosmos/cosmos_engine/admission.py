"""Admits requests with the account's key, for this engine's own address, and from no web page.

The signature covers the resource that the client meant. A client that normalises a path turns the item ".." into its
container; the signature does not fit then, as it does not fit with another key: the service answers both with 401.
https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources
"""

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from cosmos_engine.errors import BadRequestError, CosmosError
from cosmos_engine.replies import refusal

EMULATOR_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
"""The official emulator's key: https://learn.microsoft.com/azure/cosmos-db/emulator#authentication"""
UNAUTHORIZED, FORBIDDEN = 401, 403
REFUSED_ANYWAY = ("addresses",)
"""Clients sign what they ask for the address of, which is not in this address: they are told what it is about."""


def admitting(app: ASGIApp, key: str, names: Collection[str] = ()) -> ASGIApp:
    """The application behind the door; names are those of the computer by which it may be called, beside loopback's.

    Raises:
        ValueError: the key is not base64.
    """
    secret = decoded(key)

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            try:
                check_sender(request.headers, names)
                if scope["path"].strip("/") not in REFUSED_ANYWAY:
                    check_signature(request, secret)
            except CosmosError as error:
                await refusal(request, error)(scope, receive, send)
                return
        await app(scope, receive, send)

    return call


def decoded(key: str) -> bytes:
    """The octets of an account's key.

    Raises:
        ValueError: it is not base64.
    """
    return base64.b64decode(key, validate=True)


def check_sender(headers: Headers, names: Collection[str]) -> None:
    """Refuse requests that a web page could send: to a name that leads here by the page's DNS, or from another origin.

    Raises:
        CosmosError: 403; 400 unless there is one Host header.
    """
    if len(headers.getlist("host")) != 1:
        raise BadRequestError("A request has one Host header.")
    host = headers["host"]
    name = host.rpartition("]")[0].removeprefix("[") or host.partition(":")[0]
    name = name.lower().removesuffix(".")
    if not (name == "localhost" or name.endswith(".localhost") or name in names or _is_address(name)):
        raise CosmosError(
            FORBIDDEN,
            f"The Host header '{host}' is none of this engine's names: call it by localhost or an IP address, or start "
            "it with --name.",
        )
    if "origin" in headers:
        raise CosmosError(
            FORBIDDEN, f"Requests of web pages (Origin: {headers['origin']}) are not supported by this engine."
        )


def check_signature(request: Request, secret: bytes) -> None:
    """Check that the request was signed with the account's key, for the resource in its address.

    Raises:
        CosmosError: 401.
    """
    header = request.headers.get("authorization")
    if header is None:
        raise CosmosError(UNAUTHORIZED, "Required Header authorization is missing. Ensure a valid token is passed.")
    kind, version, signature = _token(unquote(header))
    if (kind, version) != ("master", "1.0"):
        raise CosmosError(
            UNAUTHORIZED,
            f"An authorization token of type '{kind}', version '{version}', is not supported by this engine: sign "
            "with the account's key.",
        )
    payloads = _payloads(request)
    if not any(hmac.compare_digest(signed(payload, secret), signature) for payload in payloads):
        raise CosmosError(
            UNAUTHORIZED,
            "The input authorization token can't serve the request. The wrong key is being used or the expected "
            f"payload is not built as per the protocol. Server used the following payload to sign: {payloads[0]!r}",
        )


def signed(payload: str, secret: bytes) -> bytes:
    """The signature of a text."""
    return hmac.digest(secret, payload.encode("utf-8", "surrogatepass"), hashlib.sha256)


def payload(verb: str, path: str, date: str) -> str:
    """The signed text of a request: its verb, the type and the link of its resource, and its date."""
    parts = [part for part in path.split("/") if part]
    odd = len(parts) % 2
    kind = parts[-1 if odd else -2] if parts else ""
    link = "/".join(parts[: len(parts) - odd])
    return f"{verb.lower()}\n{kind.lower()}\n{link}\n{date.lower()}\n\n"


def _payloads(request: Request) -> list[str]:
    date = request.headers.get("x-ms-date", "")
    by_name = payload(request.method, request.scope["path"], date)
    verb, kind, link, *rest = by_name.split("\n")
    return [by_name, "\n".join([verb, kind, link.rpartition("/")[2].lower(), *rest])]


def _token(text: str) -> tuple[str, str, bytes]:
    fields = dict(part.partition("=")[::2] for part in text.split("&"))
    try:
        signature = base64.b64decode(fields.get("sig", ""))
    except ValueError:  # not base64, or not even ASCII
        signature = b""
    return fields.get("type", ""), fields.get("ver", ""), signature


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
