"""Bad input to stock, shipments, ratings and lists: a clear answer that points at it, and nothing changed."""

import base64
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.api import Api, eventually, order_body, problem, version_of

NO_QUANTITIES = ("0", "-1", "1.5", "1e400", "1" + "0" * 18, "1000001", "true", "null", '"1"', "NaN")
NO_COUNTS = tuple(quantity for quantity in NO_QUANTITIES if quantity != "0")
NO_RATINGS = ("0", "6", "4.5", "-1", "1e400", "true", "null", '"5"')


class Stockroom:
    """Ten pieces of a product, of which a confirmed order has reserved two; another order is submitted."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.customer_id = api.customer()
        [self.product_id, self.other_id] = api.products(2)
        self.received = version_of(self.receive(self.product_id, 10))
        self.order_id = self._order(self.product_id, "Confirmed")
        self.submitted_id = self._order(self.other_id, "Submitted")
        eventually(lambda: self.inventory()["reserved"] == 2, "two pieces are reserved")
        eventually(self._knows_both_orders, "the catalogue has heard of both orders")
        self.before = self.seen()

    def receive(self, product_id: str, quantity: int) -> Any:
        """Take pieces in."""
        answer = self.api.post(f"/products/{product_id}/receipts", {"quantity": quantity})
        assert answer.status_code == 204, answer.text
        return answer

    def inventory(self) -> Any:
        """What there is."""
        return self.api.read(f"/products/{self.product_id}/inventory", minVersion=self.received)

    def seen(self) -> Any:
        """What the read models show."""
        order = self.api.details(self.order_id, self.customer_id)
        product = self.api.read(f"/products/{self.product_id}", minVersion=1)
        return self.inventory(), order["items"], product["userRating"]

    def ship(self, order_id: str, *items: tuple[str, Any], **headers: str) -> Any:
        """Ship pieces of products."""
        body = {"items": [{"productId": product_id, "quantity": quantity} for product_id, quantity in items]}
        return self.api.post(f"/orders/{order_id}/shipments", body, **headers)

    def _order(self, product_id: str, status: str) -> str:
        order_id = self.api.order(self.customer_id, product_id, quantity=2)
        self.api.bring(order_id, status)
        return order_id

    def _knows_both_orders(self) -> bool:
        nothing = str(uuid4())
        answers = [self.ship(each, (nothing, 1)) for each in (self.order_id, self.submitted_id)]
        return [answer.json()["type"].rpartition(":")[2] for answer in answers] == [
            "not-reserved",
            "order-not-confirmed",
        ]


@pytest.fixture(scope="module")
def whole_stockroom(api: Api) -> Stockroom:
    return Stockroom(api)


@pytest.fixture
def stockroom(whole_stockroom: Stockroom) -> Any:
    """The stockroom; what the test sends must change nothing in it."""
    yield whole_stockroom
    assert whole_stockroom.seen() == whole_stockroom.before
    stale = whole_stockroom.api.post(
        f"/products/{whole_stockroom.product_id}/recounts",
        {"counted": 10, "reason": "r"},
        If_Match=f'"{whole_stockroom.received + 9}"',
    )
    told = problem(stale, 412, "stale-version")
    assert f"at version {whole_stockroom.received + 1};" in told["detail"], "received, and reserved for one order"


@pytest.mark.parametrize("quantity", NO_QUANTITIES)
def test_a_quantity_that_is_no_number_of_pieces_is_pointed_at(stockroom: Stockroom, quantity: str) -> None:
    api, product_id = stockroom.api, stockroom.product_id
    receipt = f'{{"quantity": {quantity}}}'.encode()
    problem(api.post_bytes(f"/products/{product_id}/receipts", receipt), 422, "invalid", "/quantity")
    items = f'{{"items": [{{"productId": "{product_id}", "quantity": {quantity}}}]}}'.encode()
    answer = api.post_bytes(f"/orders/{stockroom.order_id}/shipments", items)
    problem(answer, 422, "invalid", "/items/0/quantity")


@pytest.mark.parametrize("counted", NO_COUNTS)
def test_a_count_that_is_no_number_of_pieces_is_pointed_at(stockroom: Stockroom, counted: str) -> None:
    recount = f'{{"counted": {counted}, "reason": "r"}}'.encode()
    answer = stockroom.api.post_bytes(f"/products/{stockroom.product_id}/recounts", recount)
    problem(answer, 422, "invalid", "/counted")
    product = f'{{"name": "x", "category": "x", "currency": "EUR", "unitPrice": 1, "initialStock": {counted}}}'.encode()
    if counted != "null":
        problem(stockroom.api.post_bytes("/products", product), 422, "invalid", "/initialStock")


def test_more_than_can_be_kept_is_refused_and_says_what_there_is(stockroom: Stockroom) -> None:
    answer = stockroom.api.post(f"/products/{stockroom.product_id}/receipts", {"quantity": 1_000_000})
    assert "has 10 pieces on hand" in problem(answer, 409, "stock-too-large")["detail"]


def test_a_recount_of_what_nobody_keeps_or_knows_is_refused(stockroom: Stockroom) -> None:
    body = {"counted": 1, "reason": "r"}
    problem(stockroom.api.post(f"/products/{stockroom.other_id}/recounts", body), 409, "stock-not-kept")
    problem(stockroom.api.post(f"/products/{uuid4()}/recounts", body), 404, "product-not-found")
    problem(stockroom.api.post(f"/products/{uuid4()}/receipts", {"quantity": 1}), 404, "product-not-found")


def test_everything_that_is_missing_is_named_at_once(stockroom: Stockroom) -> None:
    product = f"/products/{stockroom.product_id}"
    problem(stockroom.api.post(f"{product}/receipts", {"reference": ""}), 422, "invalid", "/quantity", "/reference")
    problem(stockroom.api.post(f"{product}/recounts", {}), 422, "invalid", "/counted", "/reason")
    problem(stockroom.api.post(f"{product}/ratings", {}), 422, "invalid", "/customerId", "/rating")
    problem(stockroom.api.post(f"/orders/{stockroom.order_id}/shipments", {"items": []}), 422, "invalid", "/items")


def test_what_cannot_be_shipped_is_refused_and_says_why(stockroom: Stockroom) -> None:
    product_id, order_id = stockroom.product_id, stockroom.order_id
    told = problem(stockroom.ship(order_id, (product_id, 3)), 409, "not-reserved")
    assert "has 2 pieces" in told["detail"]
    problem(stockroom.ship(order_id, (product_id, 1), (product_id, 2)), 409, "not-reserved")
    problem(stockroom.ship(order_id, (product_id, 1), (stockroom.other_id, 1)), 409, "not-reserved")
    told = problem(stockroom.ship(stockroom.submitted_id, (product_id, 1)), 409, "order-not-confirmed")
    assert "Submitted" in told["detail"]
    problem(stockroom.ship(str(uuid4()), (product_id, 1)), 404, "order-not-found")
    problem(stockroom.ship(order_id, *[(product_id, 1)] * 1001), 422, "invalid", "/items")


@pytest.mark.parametrize("rating", NO_RATINGS)
def test_a_rating_that_is_no_number_from_1_to_5_is_pointed_at(stockroom: Stockroom, rating: str) -> None:
    body = f'{{"customerId": "{stockroom.customer_id}", "rating": {rating}}}'.encode()
    answer = stockroom.api.post_bytes(f"/products/{stockroom.product_id}/ratings", body)
    problem(answer, 422, "invalid", "/rating")


def test_a_rating_of_an_unknown_product_is_404(stockroom: Stockroom) -> None:
    body = {"customerId": stockroom.customer_id, "rating": 4}
    problem(stockroom.api.post(f"/products/{uuid4()}/ratings", body), 404, "product-not-found")


# the platform takes no address of more than 8 KiB (414), so a name of 10,000 letters does not come so far
@pytest.mark.parametrize(
    "name",
    ["", " ", "!?", "\u0301\u0308", "x" * 201, "x" * 7_000, "a\0", "\u202eعرب", "a b c d e f g h i j k"],
    ids=["empty", "blank", "signs", "accents", "201", "7000", "NUL", "direction", "11 words"],
)
def test_a_search_without_words_or_with_too_many_is_pointed_at(stockroom: Stockroom, name: str) -> None:
    problem(stockroom.api.get("/products", name=name), 422, "invalid", "/name")


@pytest.mark.parametrize(
    "name",
    [
        "z",
        "tea' OR '1'='1",
        "'; DROP TABLE products; --",
        '") OR true --',
        "SELECT * FROM c",
        "@word0",
        "🦄",
        "قهوة",
        "\u05e7\u05e4\u05d4",
        "x" * 200,
    ],
)
def test_a_search_for_odd_words_is_answered_and_finds_what_has_them(stockroom: Stockroom, name: str) -> None:
    assert stockroom.api.read("/products", name=name) == {"items": [], "next": None}


def test_a_cursor_that_a_list_did_not_give_is_pointed_at(stockroom: Stockroom) -> None:
    api = stockroom.api
    cursor = api.read("/products", take=1, name="teapot")["next"]
    assert cursor is not None
    forged = base64.urlsafe_b64encode(b"x" * 12 + b"~").decode().rstrip("=")
    for wrong in (cursor[:-1], cursor[1:], cursor + "A", forged, "", "%00", "2026-11-29T00:00:00Z", "é"):
        problem(api.get("/products", cursor=wrong, name="teapot"), 422, "invalid", "/cursor")
    problem(api.get("/products", cursor="x" * 301), 422, "invalid", "/cursor")
    problem(api.get("/products", cursor=cursor), 422, "invalid", "/cursor")
    problem(api.get("/products", cursor=cursor, name="tea"), 422, "invalid", "/cursor")
    problem(api.get("/inventory/out-of-stock", cursor=cursor), 422, "invalid", "/cursor")
    told = problem(api.get("/products", cursor=cursor[:-1], take=0, name="!"), 422, "invalid", "/name", "/take")
    assert told["errors"][0]["in"] == "query"


def test_related_products_of_what_is_not_there_or_no_id_are_refused(stockroom: Stockroom) -> None:
    problem(stockroom.api.get(f"/products/{uuid4()}/related"), 404, "product-not-found")
    problem(stockroom.api.get("/products/nope/related"), 422, "invalid", "/productId")
    problem(stockroom.api.get(f"/products/{stockroom.product_id}/related", take=5), 422, "invalid", "/take")


def test_a_shipment_that_is_sent_twice_leaves_once_with_a_key_and_twice_without(api: Api) -> None:
    room = Stockroom(api)
    keyed = [room.ship(room.order_id, (room.product_id, 1), Idempotency_Key=room.order_id) for _ in range(2)]
    assert [answer.headers.get("Idempotent-Replayed") for answer in keyed] == [None, "true"]
    assert keyed[0].headers["ETag"] == keyed[1].headers["ETag"]
    told = problem(room.ship(room.order_id, (room.product_id, 2)), 409, "not-reserved")
    assert "has 1 pieces" in told["detail"]
    assert room.ship(room.order_id, (room.product_id, 1)).status_code == 204
    eventually(lambda: (room.inventory()["currentStock"], room.inventory()["reserved"]) == (8, 0), "both have left")


def test_fewer_counted_than_are_reserved_lets_an_order_wait_again_with_alternatives(api: Api) -> None:
    room = Stockroom(api)
    body = {"counted": 1, "reason": "nine are broken"}
    assert api.post(f"/products/{room.product_id}/recounts", body).status_code == 204

    def line() -> Any:
        [item] = api.details(room.order_id, room.customer_id)["items"]
        return item

    eventually(lambda: line()["stock"] == "waiting", "the order waits again")
    assert 1 <= len(line()["alternatives"]) <= 3
    assert room.product_id not in line()["alternatives"]
    level = room.inventory()
    assert (level["currentStock"], level["reserved"], level["waiting"], level["available"]) == (1, 1, 1, 0)
    answer = api.post("/orders", order_body(room.customer_id, room.product_id))
    assert answer.status_code == 201, "what is not there may be ordered, and waits"
