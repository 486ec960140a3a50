"""The addresses of the REST API, and what each method does there.

https://learn.microsoft.com/rest/api/cosmos-db/
"""

import logging
import sqlite3
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cosmos_engine import accounts, documents
from cosmos_engine.errors import BadRequestError, CosmosError
from cosmos_engine.query.pages import Queries
from cosmos_engine.replies import refusal
from cosmos_engine.store import UNWRITABLE, Store

log = logging.getLogger("cosmos")

type Handler = Callable[[Request], Awaitable[Response]]


def build(store: Store) -> ASGIApp:
    """The application on an open store, open to all: `admission` is its door."""
    app = Starlette(
        routes=[
            _route("/", GET=accounts.read_account),
            _route("/addresses", GET=accounts.refuse_direct_mode),
            _route("/dbs", GET=accounts.list_databases, POST=accounts.create_database),
            _route("/dbs/{database}", GET=accounts.read_database, DELETE=accounts.delete_database),
            _route("/dbs/{database}/colls", GET=accounts.list_containers, POST=accounts.create_container),
            _route(
                "/dbs/{database}/colls/{container}",
                GET=accounts.read_container,
                PUT=accounts.replace_container,
                DELETE=accounts.delete_container,
            ),
            _route("/dbs/{database}/colls/{container}/pkranges", GET=accounts.list_ranges),
            _route("/dbs/{database}/colls/{container}/docs", GET=documents.read_feed, POST=documents.post),
            _route(
                "/dbs/{database}/colls/{container}/docs/{item}",
                GET=documents.read,
                PUT=documents.replace,
                PATCH=documents.patch,
                DELETE=documents.delete,
            ),
        ],
        exception_handlers={
            CosmosError: _refuse,
            RecursionError: _refuse_depth,
            HTTPException: _refuse_address,
            ClientDisconnect: _tell_nobody,
            sqlite3.Error: _refuse_unwritable,
            Exception: _tell_failure,
        },
    )
    app.state.store = store
    app.state.queries = Queries(store)
    return _without_trailing_slash(app)


def _route(path: str, **handlers: Handler) -> Route:
    async def dispatch(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, dispatch, methods=list(handlers))


def _without_trailing_slash(app: ASGIApp) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = "/" + scope["path"].lstrip("/").removesuffix("/")  # .NET asks for //addresses/
        await app(scope, receive, send)

    return call


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, CosmosError)  # noqa: S101 -- what it is registered for
    return refusal(request, error)


async def _refuse_depth(request: Request, _error: Exception) -> Response:
    return refusal(request, BadRequestError("The request is nested too deeply for this engine."))


async def _tell_nobody(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # the client has gone


async def _refuse_unwritable(request: Request, error: Exception) -> Response:
    """Say in one line that the disk is full, or the file may not be written; any other error is the engine's own."""
    if not getattr(error, "sqlite_errorname", "").startswith(UNWRITABLE):
        raise error
    log.error("cannot write: %s", error)
    return refusal(request, CosmosError(503, f"This engine cannot write its file: {error}."))


async def _tell_failure(request: Request, error: Exception) -> Response:
    """Answer a fault of the engine's own; Starlette raises it again, so that the log has its traceback."""
    message = f"This engine failed with {type(error).__name__}: its log says where."
    return refusal(request, CosmosError(500, message))


async def _refuse_address(request: Request, error: Exception) -> Response:
    message = f"{request.method} {request.url.path} is not supported by this engine."
    status = 405 if isinstance(error, HTTPException) and error.status_code == 405 else 400  # noqa: PLR2004
    return refusal(request, CosmosError(status, message))
