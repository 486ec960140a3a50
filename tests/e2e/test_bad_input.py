"""Bad input, one at a time: a clear answer that points at it, and nothing changed."""

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.api import Api, order_body, problem

TEXTS = {
    "empty": "",
    "blank": "  ",
    "filler": "\u3164",
    "braille": "\u2800 \u115f",
    "NUL": "a\0b",
    "newline": "a\nb",
    "delete": "a\x7fb",
    "line separator": "a\u2028b",
}
NO_IDS = ("nope", "", 7, None, "12345678123456781234567812345678", "{12345678-1234-5678-1234-567812345678}")


class Shop:
    """A customer, a product and an order, and whether they are as they were."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.customer_id, self.product_id = api.customer(), api.product()
        self.order_id = api.order(self.customer_id, self.product_id)
        self.before = self.seen()

    def order(self) -> dict[str, Any]:
        """The body of an order that would be taken."""
        return order_body(self.customer_id, self.product_id)

    def seen(self) -> Any:
        """What every read model shows."""
        return (
            self.api.details(self.order_id, self.customer_id),
            self.api.read(f"/customers/{self.customer_id}/orders"),
            self.api.read(f"/customers/{self.customer_id}/summary"),
            self.api.read(f"/products/{self.product_id}", minVersion=1),
        )


@pytest.fixture(scope="module")
def whole_shop(api: Api) -> Shop:
    return Shop(api)


@pytest.fixture
def shop(whole_shop: Shop) -> Any:
    """The shop; what the test sends must change nothing in it, and no version of the order."""
    yield whole_shop
    assert whole_shop.seen() == whole_shop.before
    version = whole_shop.before[0]["version"]
    stale = whole_shop.api.post(f"/orders/{whole_shop.order_id}/confirm", None, If_Match=f'"{version}"')
    problem(stale, 409, "order-status")  # 412, had the order moved on


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"reason": "x"} x',
        b"{'reason': 'x'}",
        b'{"reason": "\xff"}',
        b'{"reason": "\\ud800"}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"reason":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"reason": ' + b"9" * 100_000 + b"}",
    ],
    ids=["cut", "more", "quotes", "no UTF-8", "half a character", "deep arrays", "deep objects", "endless number"],
)
def test_malformed_json_is_400(shop: Shop, body: bytes) -> None:
    problem(shop.api.post_bytes(f"/orders/{shop.order_id}/cancel", body), 400, "malformed-json")


@pytest.mark.parametrize(
    "body",
    [
        b'{"reason": "a", "reason": "b"}',
        b'{"reason": "a", "r\\u0065ason": "a"}',
        b'{"x": [{"reason": 1, "reason": 1}]}',
    ],
)
def test_a_name_that_stands_twice_is_400_and_named(shop: Shop, body: bytes) -> None:
    told = problem(shop.api.post_bytes(f"/orders/{shop.order_id}/cancel", body), 400, "malformed-json")
    assert '"reason"' in told["detail"]


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"7"])
def test_a_body_that_is_no_object_is_422(shop: Shop, body: bytes) -> None:
    problem(shop.api.post_bytes(f"/orders/{shop.order_id}/cancel", body), 422, "invalid", "")


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/json; charset=utf-16", ""])
def test_another_media_type_is_415(shop: Shop, content_type: str) -> None:
    answer = shop.api.post_bytes(f"/orders/{shop.order_id}/cancel", b'{"reason": "x"}', content_type)
    problem(answer, 415, "media-type")


def test_a_body_in_chunks_is_411_on_every_route_that_takes_one(shop: Shop) -> None:
    # measured on the real host: a function gets a chunked body empty, and would take its command for one without values
    for path, item in shop.api.get("/openapi.json").json()["paths"].items():
        for method in item.keys() & {"post", "delete"}:
            url = re.sub(r"\{(\w+)\}", lambda name: "orders" if name[1] == "view" else shop.order_id, path)
            answer = httpx.request(
                method,
                f"{shop.api.http.base_url}".rstrip("/") + url.removeprefix("/api"),
                content=iter([b'{"reason":', b' "x"}']),
                headers=shop.api.http.headers,
                timeout=30,
            )
            problem(answer, 411, "length-required")


def test_a_body_of_more_than_a_mebibyte_is_413(shop: Shop) -> None:
    body = b'{"reason": "' + b"x" * 2**20 + b'"}'
    problem(shop.api.post_bytes(f"/orders/{shop.order_id}/cancel", body), 413, "body-too-large")


@pytest.mark.parametrize(
    "quantity",
    [
        *("0", "-1", "10001", "1e400", "NaN", "Infinity", "1.5", '"1"', "true", "null", "[]", "9" * 4000),
        *("2.0000000000000000001", "0.99999999999999999999", "1e-400", "1e999999999", "1e99999999999999999999"),
    ],
)
def test_a_quantity_that_is_no_number_from_1_to_10000_is_pointed_at(shop: Shop, quantity: str) -> None:
    order = json.dumps(shop.order()).replace('"quantity": 1', f'"quantity": {quantity}').encode()
    problem(shop.api.post_bytes("/orders", order), 422, "invalid", "/items/0/quantity")

    item = f'{{"productId": "{shop.product_id}", "quantity": {quantity}}}'.encode()
    problem(shop.api.post_bytes(f"/orders/{shop.order_id}/items", item), 422, "invalid", "/quantity")


@pytest.mark.parametrize(
    "price",
    [
        *('"-1"', '"1.99999"', "NaN", "1e400", '"NaN"', '"dear"', "true", "null", '"1e30"'),
        *("1e-400", "-1e-400", "1.99999", "24.900000000000000000001", "0.99999999999999999999", "1e999999999"),
    ],
)
def test_a_price_that_is_no_amount_is_pointed_at(shop: Shop, price: str) -> None:
    product = f'{{"name": "x", "category": "x", "currency": "EUR", "unitPrice": {price}}}'.encode()
    problem(shop.api.post_bytes("/products", product), 422, "invalid", "/unitPrice")

    changed = f'{{"unitPrice": {price}}}'.encode()
    problem(shop.api.post_bytes(f"/products/{shop.product_id}/price", changed), 422, "invalid", "/unitPrice")


@pytest.mark.parametrize(
    ("price", "currency"), [("0.001", "EUR"), ("0.5", "JPY"), ("0.0001", "KWD"), ("10000000000.01", "EUR")]
)
def test_a_price_must_be_payable_in_its_currency(shop: Shop, price: str, currency: str) -> None:
    product = {"name": "x", "category": "x", "currency": currency, "unitPrice": price}
    problem(shop.api.post("/products", product), 422, "invalid", "/unitPrice")


@pytest.mark.parametrize("currency", ["eur", "EURO", "XXX", "", 978, None])
def test_a_currency_must_be_one(shop: Shop, currency: object) -> None:
    product = {"name": "x", "category": "x", "currency": currency, "unitPrice": "1"}
    problem(shop.api.post("/products", product), 422, "invalid", "/currency")


def test_1001_items_are_too_many(shop: Shop) -> None:
    order = order_body(shop.customer_id, *[shop.product_id] * 1001)
    problem(shop.api.post("/orders", order), 422, "invalid", "/items")


@pytest.mark.parametrize(
    "text", [*TEXTS.values(), "x" * 201, 7, None, ["x"]], ids=[*TEXTS, "long", "7", "null", "list"]
)
def test_a_text_that_is_no_line_of_its_length_is_pointed_at(shop: Shop, text: object) -> None:
    address = {"street": text, "city": text, "postalCode": text}
    order = shop.order() | {"shippingAddress": address}
    pointers = [f"/shippingAddress/{name}" for name in address]
    problem(shop.api.post("/orders", order), 422, "invalid", *pointers)
    problem(shop.api.post("/customers", {"name": text, "email": "ada@example.com"}), 422, "invalid", "/name")
    problem(shop.api.post(f"/customers/{shop.customer_id}/rename", {"name": text}), 422, "invalid", "/name")
    problem(shop.api.post(f"/products/{shop.product_id}/rename", {"name": text}), 422, "invalid", "/name")
    reason = "x" * 501 if text == "x" * 201 else text
    problem(shop.api.post(f"/orders/{shop.order_id}/cancel", {"reason": reason}), 422, "invalid", "/reason")


@pytest.mark.parametrize(
    "email",
    [
        *("", "ada", "ada@", "@example.com", "a b@example.com", "x" * 330 + "@example.com", 7),
        *("Ada <a@example.com>", "<a@example.com>", " a@example.com", "a@example.com, b@example.com"),
    ],
)
def test_an_email_address_must_be_one(shop: Shop, email: object) -> None:
    problem(shop.api.post("/customers", {"name": "Ada", "email": email}), 422, "invalid", "/email")


@pytest.mark.parametrize("no_id", NO_IDS)
def test_an_id_that_is_no_uuid_is_pointed_at(shop: Shop, no_id: object) -> None:
    order = order_body(no_id, no_id) | {"orderId": no_id}  # type: ignore[arg-type]  # that is the test
    pointers = ("/orderId", "/customerId", "/items/0/productId")
    problem(shop.api.post("/orders", order), 422, "invalid", *pointers)


@pytest.mark.parametrize("verb", ["submit", "confirm", "complete"])
def test_an_id_in_a_path_that_is_no_uuid_is_pointed_at(shop: Shop, verb: str) -> None:
    told = problem(shop.api.post(f"/orders/nope/{verb}"), 422, "invalid", "/orderId")
    assert told["errors"][0]["in"] == "path"


def test_unknown_fields_are_named_with_escaped_pointers(shop: Shop) -> None:
    order = shop.order() | {"a/b~c": 1, "coupon": 2}
    order["items"][0]["colour"] = "red"
    order["shippingAddress"] = order["shippingAddress"] | {"planet": "Earth"}
    pointers = ("/a~1b~0c", "/coupon", "/items/0/colour", "/shippingAddress/planet")
    problem(shop.api.post("/orders", order), 422, "invalid", *pointers)


def test_what_is_part_of_the_path_may_not_stand_in_the_body(shop: Shop) -> None:
    answer = shop.api.post(f"/orders/{shop.order_id}/submit", {"orderId": str(uuid4())})
    problem(answer, 422, "invalid", "/orderId")


def test_everything_that_is_missing_is_named_at_once(shop: Shop) -> None:
    problem(shop.api.post("/orders", {}), 422, "invalid", "/customerId", "/items")
    problem(shop.api.post("/products", {}), 422, "invalid", "/name", "/unitPrice", "/currency", "/category")
    problem(shop.api.post("/customers", {}), 422, "invalid", "/name", "/email")
    problem(shop.api.post(f"/orders/{shop.order_id}/cancel"), 422, "invalid", "/reason")


def test_an_unknown_customer_and_unknown_products_are_all_named(shop: Shop) -> None:
    unknown, other = str(uuid4()), str(uuid4())
    order = order_body(str(uuid4()), unknown, shop.product_id, other)
    pointers = ("/customerId", "/items/0/productId", "/items/2/productId")
    told = problem(shop.api.post("/orders", order), 422, "invalid", *pointers)
    assert unknown in told["errors"][1]["detail"]

    item = {"productId": unknown, "quantity": 1}
    problem(shop.api.post(f"/orders/{shop.order_id}/items", item), 422, "invalid", "/productId")


def test_products_of_several_currencies_make_no_order(shop: Shop) -> None:
    yen = shop.api.product("100", "JPY")
    order = order_body(shop.customer_id, shop.product_id, yen)
    problem(shop.api.post("/orders", order), 409, "currency-mix", "/items/1/productId")


@pytest.mark.parametrize(
    ("header", "value"),
    [("If-Match", "2"), ("If-Match", '*, "2"'), ("Idempotency-Key", "a b"), ("Idempotency-Key", "k" * 256)],
)
def test_a_header_that_cannot_be_read_is_pointed_at(shop: Shop, header: str, value: str) -> None:
    answer = shop.api.http.post(f"/orders/{shop.order_id}/submit", headers={header: value})
    told = problem(answer, 422, "invalid", f"/{header}")
    assert told["errors"][0]["in"] == "header"


def test_two_idempotency_keys_are_none(shop: Shop) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    answer = shop.api.http.post(f"/orders/{shop.order_id}/confirm", headers=headers)
    problem(answer, 422, "invalid", "/Idempotency-Key")


def test_what_is_wrong_is_not_repeated_at_length(shop: Shop) -> None:
    order = shop.order() | {"~/" * 20_000: 1, "customerId": "x" * 60_000, "items": {"y" * 50_000: 1}}
    answer = shop.api.post("/orders", order)
    assert (answer.status_code, len(answer.content) < 3_000) == (422, True)


@pytest.mark.parametrize(
    ("send", "pointers"),
    [
        (lambda shop: shop.api.get(f"/orders/{shop.order_id}"), ["/customerId"]),
        (lambda shop: shop.api.get("/orders/x", customerId="y", foo="z"), ["/orderId", "/customerId", "/foo"]),
        (
            lambda shop: shop.api.get(
                f"/customers/{shop.customer_id}/orders", skip=-1, take=101, status="Lost", after="x"
            ),
            ["/skip", "/take", "/status", "/after"],
        ),
        (lambda shop: shop.api.get(f"/customers/{shop.customer_id}/summary", minVersion=0), ["/minVersion"]),
        (lambda shop: shop.api.get(f"/products/{shop.product_id}", minVersion="1e1"), ["/minVersion"]),
    ],
    ids=["missing", "ids", "list", "summary", "product"],
)
def test_a_query_that_makes_no_sense_is_422_and_says_where(
    shop: Shop, send: Callable[[Shop], Any], pointers: list[str]
) -> None:
    problem(send(shop), 422, "invalid", *pointers)
