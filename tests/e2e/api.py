"""The API as the tests speak it: what every answer must have is asserted here, once."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import httpx

from shared.ordering.events import AuthorisationAskedV1, CaptureAskedV1
from tests.support.api import client
from tests.support.fulfilment import ask
from tests.support.stack import Stack

TIMEOUT = 30.0
"""Seconds within which a change must be known everywhere, on a loaded machine."""

ADDRESS = {"street": "12 Main St", "city": "Cork", "postalCode": "T12", "region": None, "country": "IE"}
PROBLEM = {"type", "title", "status", "detail", "instance", "correlationId"}


class Api(AbstractContextManager["Api"]):
    """A client of one stack: the shop with every role, or whoever the token says."""

    def __init__(self, stack: Stack, token: str | None = None) -> None:
        self.stack = stack
        self.http = client(stack, token)
        self.http.base_url = httpx.URL(f"{stack.base_url}/api")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def post(self, path: str, body: Any = None, /, **headers: str) -> httpx.Response:
        """Send a command; headers by name, `Idempotency_Key="k"`."""
        return self.http.post(path, json=body, headers=_headers(headers))

    def post_bytes(self, path: str, body: bytes, content_type: str = "application/json") -> httpx.Response:
        """Send a body as it is."""
        return self.http.post(path, content=body, headers={"Content-Type": content_type})

    def get(self, path: str, /, headers: Mapping[str, str] | None = None, **parameters: str | int) -> httpx.Response:
        """Send a query."""
        return self.http.get(path, params=parameters or None, headers=headers)

    def read(self, path: str, **parameters: str | int) -> Any:
        """Send a query that must be answered; what it answers."""
        answer = self.get(path, {"Prefer": "wait=30"}, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def dead_letters(self, consumer: str | None = None) -> list[dict[str, Any]]:
        """List what has been given up, of one subscription or of all; every one of them must have answered."""
        which = {} if consumer is None else {"subscription": consumer}
        listed: list[dict[str, Any]] = self.read("/ops/dead-letters", **which)["subscriptions"]
        silent = [each["subscription"] for each in listed if each["unanswered"] or each["closed"]]
        assert not silent, f"nobody knows what there is of {silent}"
        return listed

    def customer(self, name: str = "Ada Lovelace") -> str:
        """Register a customer whom ordering knows."""
        answer = self.post("/customers", {"name": name, "email": f"{uuid4()}@example.com"})
        assert answer.status_code == 201, answer.text
        customer_id = str(answer.json()["customerId"])
        self.read(f"/customers/{customer_id}/summary", minVersion=1)
        return customer_id

    def product(self, price: str = "24.90", currency: str = "EUR", name: str = "Teapot") -> str:
        """Add a product that ordering knows."""
        return self.products(1, price, currency, name)[0]

    def products(self, count: int, price: str = "24.90", currency: str = "EUR", name: str = "Teapot") -> list[str]:
        """Add products that ordering knows."""
        body = {"name": name, "description": "Holds a litre", "category": "kitchen"}
        body |= {"unitPrice": price, "currency": currency}
        answers = [self.post("/products", body) for _ in range(count)]
        assert {answer.status_code for answer in answers} == {201}
        ids = [str(answer.json()["productId"]) for answer in answers]
        eventually(lambda: self.unknown_products(ids) == [], "ordering knows the products")
        return ids

    def unknown_products(self, product_ids: Sequence[str]) -> list[str]:
        """Those that ordering does not know; asked by an order that is refused in any case."""
        problem = self.post("/orders", order_body(str(uuid4()), *product_ids)).json()
        pointers = [error["pointer"] for error in problem["errors"]]
        assert pointers[0] == "/customerId"
        return pointers[1:]

    def order(self, customer_id: str, *product_ids: str, quantity: int = 1) -> str:
        """Create an order, and see it."""
        answer = self.post("/orders", order_body(customer_id, *product_ids, quantity=quantity))
        assert answer.status_code == 201, answer.text
        order_id = str(answer.json()["orderId"])
        self.details(order_id, customer_id, version_of(answer))
        return order_id

    def details(self, order_id: str, customer_id: str, version: int = 1) -> dict[str, Any]:
        """What the order's read model shows once it is at this version."""
        details: dict[str, Any] = self.read(f"/orders/{order_id}", customerId=customer_id, minVersion=version)
        return details

    def payment(self, status: str, customer_id: str | None = None) -> str:
        """Have a payment of 49.80 euros come to a status; the order's id."""
        order, customer = uuid4(), UUID(customer_id or str(uuid4()))
        token = TOKENS.get(status, "pm_card_visa")
        ask(self.stack, AuthorisationAskedV1(order, customer, "EUR", Decimal("49.80"), token, 1))

        def is_at(status: str) -> bool:
            answer = self.get(f"/orders/{order}/payment", customerId=str(customer))
            return answer.status_code == httpx.codes.OK and answer.json()["status"] == status

        if status == "captured":
            eventually(lambda: is_at("authorised"), "the payment is authorised")
            ask(self.stack, CaptureAskedV1(order))
        eventually(lambda: is_at(status), f"the payment is {status}")
        return str(order)

    def bring(self, order_id: str, status: str) -> None:
        """Bring an order that has items from Created to a status."""
        for verb in WAY_TO[status]:
            body = {"reason": "changed my mind"} if verb == "cancel" else None
            assert self.post(f"/orders/{order_id}/{verb}", body).status_code == 204


TOKENS = {"declined": "pm_card_visa_chargeDeclined", "actionRequired": "pm_card_authenticationRequired"}
"""Which card leads to which status of a payment."""

WAY_TO = {
    "Created": (),
    "Submitted": ("submit",),
    "Confirmed": ("submit", "confirm"),
    "Completed": ("submit", "confirm", "complete"),
    "Cancelled": ("submit", "cancel"),
}


def order_body(customer_id: str, *product_ids: str, quantity: int = 1) -> dict[str, Any]:
    """The body of a valid POST /orders."""
    items = [{"productId": product_id, "quantity": quantity} for product_id in product_ids]
    return {"customerId": customer_id, "items": items, "shippingAddress": ADDRESS}


def version_of(answer: httpx.Response) -> int:
    """The version that a command's answer gives."""
    return int(answer.headers["ETag"].strip('"'))


def problem(answer: httpx.Response, status: int, code: str, *pointers: str) -> dict[str, Any]:
    """Assert that an answer is this problem, of RFC 9457's shape, with errors at exactly these pointers."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body.keys() == PROBLEM | ({"errors"} if pointers else set()), body
    assert body["type"] == f"urn:tandem:problem:{code}", body
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == answer.request.url.raw_path.partition(b"?")[0].decode()
    assert body["correlationId"] == answer.headers["X-Correlation-Id"]
    assert sorted(error["pointer"] for error in body.get("errors", [])) == sorted(pointers), body
    assert all(error["detail"] and error["in"] in LOCATIONS for error in body.get("errors", []))
    assert "Traceback" not in answer.text
    return body


LOCATIONS = {"body", "path", "query", "header"}


def eventually(is_so: Any, what: str, seconds: float = TIMEOUT) -> None:
    """Poll until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def _headers(names: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in names.items()}
