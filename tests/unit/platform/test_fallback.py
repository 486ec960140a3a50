"""Which methods a path has is told by the routes, matched as the host matches them."""

from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest

from shared.frame.http.fallback import allowed_at, fallback
from tests.support import principals

ROUTES = {
    "orders": frozenset({"POST"}),
    "orders/{orderId}": frozenset({"GET", "HEAD"}),
    "docs/docs.js": frozenset({"GET"}),
}


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/orders", {"POST"}),
        ("/api/ORDERS/", {"POST"}),
        ("/api/%6Frders", {"POST"}),
        ("/api/orders/7", {"GET", "HEAD"}),
        ("/api/orders/7?limit=2", {"GET", "HEAD"}),
        ("/api/orders/a%2Fb", {"GET", "HEAD"}),
        ("/api/orders%2F7", set()),
        ("/api%2forders", set()),
        ("/api/orders/7/8", set()),
        ("/api/orders//7", set()),
        ("/api/docs/docs.js", {"GET"}),
        ("/api/docs/docsxjs", set()),
        ("/api/docs%2Fdocs.js", set()),
        ("/orders", set()),
        ("/", set()),
    ],
)
def test_a_path_has_the_methods_of_its_routes(path: str, allowed: set[str]) -> None:
    assert allowed_at(f"http://127.0.0.1:7071{path}", ROUTES) == allowed


def answer(path: str, headers: dict[str, str]) -> func.HttpResponse:
    """What is answered to a POST that no route takes; the pages alone are open."""
    app = func.FunctionApp()
    app.register_functions(fallback([]))
    [function] = app.get_functions()
    context = SimpleNamespace(invocation_id="i", trace_context=SimpleNamespace(trace_parent=None))
    req = func.HttpRequest(method="POST", url=f"http://host{path}", headers=headers, body=b"")
    answered: Any = function.get_user_function()(req, context)
    assert isinstance(answered, func.HttpResponse)
    return answered


def test_who_is_unknown_learns_of_the_open_paths_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer("/api/nowhere", {}).status_code == 401
    assert answer("/api/nowhere", principals.shop()).status_code == 404
    open_to_all = answer("/api/docs", {})
    assert (open_to_all.status_code, open_to_all.headers["Allow"]) == (405, "GET, HEAD")
    monkeypatch.setenv("WEBSITE_SITE_NAME", "func-tandem")  # in Azure without authentication: nobody is known
    assert answer("/api/nowhere", principals.shop()).status_code == 503
