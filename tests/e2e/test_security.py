"""The usual tricks over the wire: forged identities, mass assignment, injection, crooked paths, too much of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from infra.local import issuer
from shared.roles import Role
from tests.e2e.api import ADDRESS, Api, order_body, problem, version_of
from tests.support.stack import Stack
from tests.support.wire import exchange, send

PRODUCT = "/api/products/0198b5f0-0000-7000-8000-000000000001"
"""A path that wants a token and shows nothing."""


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def nobody(stack: Stack) -> Iterator[httpx.Client]:
    """A client without a token."""
    with httpx.Client(base_url=stack.base_url, timeout=60) as client:
        yield client


@dataclass(frozen=True)
class Shop:
    """A customer who has ordered something."""

    api: Api
    customer_id: str
    product_id: str
    order_id: str


@pytest.fixture(scope="module")
def shop(api: Api) -> Shop:
    customer_id, product_id = api.customer(), api.product()
    return Shop(api, customer_id, product_id, api.order(customer_id, product_id))


FORGED = issuer.principal("x" * 32, issuer.issue("x" * 32, Role))


def test_a_forged_principal_opens_nothing(nobody: httpx.Client, stack: Stack) -> None:
    forged = {"X-MS-CLIENT-PRINCIPAL": FORGED, "X-MS-CLIENT-PRINCIPAL-ID": str(uuid4())}
    problem(nobody.get(PRODUCT, headers=forged), 401, "unauthenticated")
    weak = bearer(stack.token("Ops"))
    problem(nobody.get(PRODUCT, headers=forged | weak), 403, "forbidden")


def test_a_token_that_is_expired_unsigned_or_of_another_issuer_opens_nothing(
    nobody: httpx.Client, stack: Stack
) -> None:
    header, payload, _ = stack.token().split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"  # {"alg":"none","typ":"JWT"}
    expired = issuer.issue(stack.issuer_key, Role, lifetime=timedelta(seconds=-1))
    for token in (expired, f"{none}.{payload}.", f"{header}.{payload}.", issuer.issue("x" * 32, Role)):
        problem(nobody.get(PRODUCT, headers=bearer(token)), 401, "unauthenticated")


def test_a_token_counts_in_its_header_and_nowhere_else(nobody: httpx.Client, stack: Stack) -> None:
    token = stack.token()
    elsewhere = {"Cookie": f"AppServiceAuthSession={token}", "X-ZUMO-AUTH": token}
    problem(
        nobody.get(PRODUCT, params={"access_token": token, "code": token}, headers=elsewhere), 401, "unauthenticated"
    )


@pytest.mark.parametrize(
    "more",
    [
        {"status": "Completed"},
        {"version": 7},
        {"total": "0.01"},
        {"currency": "EUR"},
        {"actor": "the owner"},
        {"customer_id": str(UUID(int=0))},
        {"customerID": str(UUID(int=0))},
        {"roles": ["Ops"]},
        {"__proto__": {"roles": ["Ops"]}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_fields_that_are_not_the_callers_to_set_are_refused(shop: Shop, more: dict[str, Any]) -> None:
    [name] = more
    problem(shop.api.post("/orders", order_body(shop.customer_id, shop.product_id) | more), 422, "invalid", f"/{name}")


def test_a_price_cannot_be_brought_along(shop: Shop) -> None:
    item = {"productId": shop.product_id, "quantity": 1}
    for more in ({"unitPrice": "0.01"}, {"amount": "0.01"}, {"productName": "Gold"}):
        [name] = more
        body = order_body(shop.customer_id) | {"items": [item | more]}
        problem(shop.api.post("/orders", body), 422, "invalid", f"/items/0/{name}")
        problem(shop.api.post(f"/orders/{shop.order_id}/items", item | more), 422, "invalid", f"/{name}")


def test_whose_order_it_is_is_not_changed_by_what_a_body_says(shop: Shop) -> None:
    body = {"productId": shop.product_id, "quantity": 1, "customerId": str(uuid4())}
    problem(shop.api.post(f"/orders/{shop.order_id}/items", body), 422, "invalid", "/customerId")
    address = ADDRESS | {"customerId": str(uuid4())}
    nested = order_body(shop.customer_id, shop.product_id) | {"shippingAddress": address}
    problem(shop.api.post("/orders", nested), 422, "invalid", "/shippingAddress/customerId")


FORGED_LINE = "2026-01-01 00:00:00,000 ERROR root forged"


@pytest.mark.parametrize(
    "path",
    [
        f"/api/orders/x%0d%0aSet-Cookie:%20a=b%0d%0a{FORGED_LINE.replace(' ', '%20')}",
        f"/api/nowhere%0a{FORGED_LINE.replace(' ', '%20')}",
        f"/api/products/x?minVersion=%0a{FORGED_LINE.replace(' ', '%20')}",
    ],
)
def test_line_breaks_in_a_path_make_no_header_and_no_line_in_the_log(stack: Stack, path: str) -> None:
    status, headers, _ = send(stack.base_url, "GET", path, bearer(stack.token()))
    assert status in {404, 422}
    assert "set-cookie" not in headers
    assert not re.search(rf"^(host\s+)?{FORGED_LINE}", stack.printed(), re.MULTILINE)


def test_line_breaks_in_a_token_make_no_line_in_the_log(stack: Stack) -> None:
    token = issuer.issue(stack.issuer_key, ["Ops", f"x\n{FORGED_LINE}"])
    status, _, _ = send(stack.base_url, "GET", PRODUCT, bearer(token))
    assert status == 403
    assert not re.search(rf"^(host\s+)?{FORGED_LINE}", stack.printed(), re.MULTILINE)


@pytest.mark.parametrize("name", ["X-Correlation-Id", "Idempotency-Key", "If-Match", "traceparent", "Prefer"])
@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: a=b", "a\nb", "a\0b", "\x7f", "é", "x" * 8_000], ids=ascii)
def test_what_a_header_must_not_hold_is_refused_or_replaced(stack: Stack, name: str, value: str) -> None:
    body = f'{{"name": "Ada", "email": "{uuid4()}@example.com"}}'.encode()
    lines = [
        *("POST /api/customers HTTP/1.1", "Host: localhost", "Connection: close", "Content-Type: application/json"),
        *(f"Content-Length: {len(body)}", f"Authorization: Bearer {stack.token()}", f"{name}: {value}", "", ""),
    ]
    answer = exchange(stack.base_url, "\r\n".join(lines).encode("latin-1") + body)
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert re.match(rb"http/1.1 (201|400|422|431) ", head), head
    assert b"set-cookie" not in head
    assert b"\0" not in head


@pytest.mark.parametrize(
    "path",
    [
        "/api/docs/../customers/{customer}/summary",
        "/api/docs/%2e%2e/customers/{customer}/summary",
        "/api/docs/..%2fcustomers/{customer}/summary",
        "/api/docs/..;/customers/{customer}/summary",
        "/api/health/live/../../customers/{customer}/summary",
        "/api/health/live%2f..%2f..%2fcustomers/{customer}/summary",
        "//api/customers/{customer}/summary",
        "/api//customers/{customer}/summary",
        "/api/customers/{customer}/summary/",
        "/API/CUSTOMERS/{customer}/SUMMARY",
        "/api/customers/{customer}/summary?openapi.json",
        "/api/customers/{customer}/summary#/../openapi.json",
        "/api/customers/{customer}/summary%00",
        "/api/openapi.json/../customers/{customer}/summary",
        "/api/docs/docs.js/../../customers/{customer}/summary",
    ],
)
def test_no_way_of_writing_a_path_leads_past_the_token(stack: Stack, shop: Shop, path: str) -> None:
    status, _, body = send(stack.base_url, "GET", path.format(customer=shop.customer_id))
    assert status in {400, 401, 404}
    assert b"customerName" not in body
    assert b"total" not in body


@pytest.mark.parametrize(
    "override", ["X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"]
)
def test_no_header_turns_a_request_into_another(nobody: httpx.Client, stack: Stack, override: str) -> None:
    headers = bearer(stack.token("Catalog.Read")) | {override: "/api/orders/x/confirm"}
    problem(nobody.get(PRODUCT, headers=headers), 404, "product-not-found")


def test_what_is_too_large_is_refused(api: Api, nobody: httpx.Client, stack: Stack) -> None:
    large = b'{"name": "' + b"x" * 1_100_000 + b'"}'
    problem(api.post_bytes("/customers", large), 413, "body-too-large")
    problem(nobody.post("/api/customers", content=large), 401, "unauthenticated")
    for headers in (bearer("x" * 40_000), bearer(stack.token()) | {"X-Large": "x" * 40_000}):
        assert nobody.get(PRODUCT, headers=headers).status_code == 431
    assert nobody.get(f"{PRODUCT}?x={'x' * 9_000}", headers=bearer(stack.token())).status_code == 414
    assert version_of(api.post("/customers", {"name": "Ada", "email": f"{uuid4()}@example.com"})) == 1
