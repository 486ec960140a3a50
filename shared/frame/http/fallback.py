"""The answer where no route fits: 404 for a path that does not exist, 405 for a method that a path does not have.

The functions host tries routes in the alphabetical order of the functions' names, not by how specific they are
(https://github.com/Azure/azure-functions-host/issues/9876), and passes over a route whose methods do not fit. So the
function here has a name that comes last. That was measured on the real host, built from its sources, and not yet on
Azure. What the platform itself refuses (429, or a path with an empty segment) does not come here.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import azure.functions as func

from shared.frame.http import console, docs
from shared.frame.http.answers import failed
from shared.frame.http.api import PREFIX, Operation
from shared.frame.http.callers import caller_of
from shared.frame.http.problems import Problem
from shared.frame.platform.callers import OPEN
from shared.kernel.refusals import Unavailable

READING = frozenset({"GET", "HEAD"})

PAGES = (*docs.PAGES, *console.PAGES)
"""The routes that are open to everybody and no part of the API's description."""


def fallback(operations: Iterable[Operation]) -> func.Blueprint:
    """Wire up the answer to everything that `operations` do not answer.

    Only authenticated callers learn which paths exist. Others learn it of the open paths alone.
    """
    blueprint, operations = func.Blueprint(), list(operations)
    routes = dict.fromkeys(PAGES, READING)
    for operation in operations:
        methods = READING if operation.method == "GET" else frozenset({operation.method})
        routes[operation.route] = routes.get(operation.route, frozenset()) | methods
    open_to_all = {route: routes[route] for route in PAGES}
    open_to_all |= {operation.route: routes[operation.route] for operation in operations if operation.role is OPEN}

    @blueprint.route("{*path}")
    def zz_no_route(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        if not allowed_at(req.url, open_to_all):
            try:
                caller_of(req)
            except (Problem, Unavailable) as nobody:
                return failed(nobody, req, context)
        return failed(_refused(req.method, allowed_at(req.url, routes)), req, context)

    return blueprint


def allowed_at(url: str, routes: Mapping[str, frozenset[str]]) -> set[str]:
    """The methods of the routes that this URL has.

    They are matched as the host does: without regard to case, a parameter for one segment, and an escaped slash is a
    part of its segment.
    """
    path = [unquote(segment) for segment in urlsplit(url).path.strip("/").split("/")]
    return {method for route, methods in routes.items() if _is_at(path, route) for method in methods}


def _is_at(path: list[str], route: str) -> bool:
    segments = f"{PREFIX.strip('/')}/{route}".split("/")
    return len(path) == len(segments) and all(
        bool(found) if segment.startswith("{") else found.lower() == segment.lower()
        for found, segment in zip(path, segments, strict=True)
    )


def _refused(method: str, allowed: set[str]) -> Problem:
    if not allowed:
        return Problem(HTTPStatus.NOT_FOUND, "no-such-path", f"The API has no such path; see {PREFIX}/docs.")
    methods = ", ".join(sorted(allowed))
    return Problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method-not-allowed",
        f"This path does not have the method {method}, but {methods}.",
        headers={"Allow": methods},
    )
