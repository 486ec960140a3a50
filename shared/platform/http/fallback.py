"""What no route answers: 404 for a path that does not exist, 405 for a method that a path does not have.

The functions host tries routes in the alphabetical order of the functions' names, not by how specific they are
(https://github.com/Azure/azure-functions-host/issues/9876), and passes over a route whose methods do not fit. So the
function here has a name that comes last. This is what the host's source and its users say; it is tested on this
repository's own host, and not yet on Azure. What the platform itself refuses (429, say) does not come here.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import azure.functions as func

from shared.platform.http.api import PREFIX, Operation, failed
from shared.platform.http.docs import PAGES
from shared.platform.http.problems import Problem

READING = frozenset({"GET", "HEAD"})


def fallback(operations: Iterable[Operation]) -> func.Blueprint:
    """Wire up the answer to everything that `operations` do not answer."""
    blueprint = func.Blueprint()
    routes = dict.fromkeys(PAGES, READING)
    for operation in operations:
        methods = READING if operation.method == "GET" else frozenset({operation.method})
        routes[operation.route] = routes.get(operation.route, frozenset()) | methods
    patterns = [(_pattern(route), methods) for route, methods in routes.items()]

    @blueprint.route("{*path}")
    def zz_no_route(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        path = unquote(urlsplit(req.url).path).strip("/")
        allowed = {method for pattern, methods in patterns if pattern.fullmatch(path) for method in methods}
        return failed(_refused(req.method, allowed), req, context)

    return blueprint


def _pattern(route: str) -> re.Pattern[str]:
    """Match as the host does: without regard to case, a parameter for one segment."""
    segments = f"{PREFIX.strip('/')}/{route}".split("/")
    parts = ["[^/]+" if segment.startswith("{") else re.escape(segment) for segment in segments]
    return re.compile("/".join(parts), re.IGNORECASE)


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
