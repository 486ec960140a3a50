"""Which methods a path has is told by the routes, matched as the host matches them."""

import pytest

from shared.frame.http.fallback import allowed_at

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
