"""A customer reaches what is theirs; what is another's is to them as if it did not exist."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from infra.local import issuer
from shared.roles import Role
from tests.e2e.api import ADDRESS, Api, order_body, problem
from tests.support.app import app_globals
from tests.support.stack import Stack


@dataclass(frozen=True)
class Two:
    """A customer with an order, and another one who is curious."""

    shop: Api
    victim_id: str
    victim: Api
    stranger_id: str
    stranger: Api
    product_id: str
    order_id: str

    def order(self) -> dict[str, Any]:
        """What the order is now, all of it."""
        return self.shop.details(self.order_id, self.victim_id)


@pytest.fixture(scope="module")
def two(api: Api, stack: Stack) -> Iterator[Two]:
    victim_id, stranger_id, product_id = api.customer(), api.customer(), api.product()
    with (
        Api(stack, stack.customer_token(victim_id)) as victim,
        Api(stack, stack.customer_token(stranger_id)) as stranger,
    ):
        order_id = victim.order(victim_id, product_id)
        yield Two(api, victim_id, victim, stranger_id, stranger, product_id, order_id)


def test_a_customer_orders_changes_submits_cancels_and_sees_what_is_theirs(two: Two) -> None:
    mine = two.victim
    order_id = mine.order(two.victim_id, two.product_id)
    assert mine.post(f"/orders/{order_id}/items", {"productId": two.product_id, "quantity": 1}).status_code == 204
    assert mine.http.delete(f"/orders/{order_id}/items/{two.product_id}").status_code == 204
    assert mine.post(f"/orders/{order_id}/items", {"productId": two.product_id, "quantity": 1}).status_code == 204
    mine.bring(order_id, "Cancelled")
    assert mine.details(order_id, two.victim_id, 6)["status"] == "Cancelled"
    listed = mine.read(f"/customers/{two.victim_id}/orders", after=f"{order_id}:6")["items"]
    assert order_id in {each["orderId"] for each in listed}
    assert mine.read(f"/customers/{two.victim_id}/summary")["customerId"] == two.victim_id
    assert mine.read(f"/products/{two.product_id}")["productId"] == two.product_id


TRIED: dict[str, Callable[[str, str], tuple[str, str, Any]]] = {
    "post_order_item": lambda order_id, product_id: (
        ("POST", f"/orders/{order_id}/items", {"productId": product_id, "quantity": 1})
    ),
    "delete_order_item": lambda order_id, product_id: ("DELETE", f"/orders/{order_id}/items/{product_id}", None),
    "post_order_shipping_address": lambda order_id, _: ("POST", f"/orders/{order_id}/shipping-address", ADDRESS),
    "post_order_submit": lambda order_id, _: ("POST", f"/orders/{order_id}/submit", None),
    "post_order_cancel": lambda order_id, _: ("POST", f"/orders/{order_id}/cancel", {"reason": "mischief"}),
}
"""What customers may do to an order."""
TRIED_ON_CUSTOMERS: dict[str, Callable[[str], tuple[str, str, Any]]] = {
    "post_customer_rename": lambda id_: ("POST", f"/customers/{id_}/rename", {"name": "Eve"}),
    "post_customer_address": lambda id_: ("POST", f"/customers/{id_}/addresses", ADDRESS),
    "put_customer_address": lambda id_: ("PUT", f"/customers/{id_}/addresses/{uuid4()}", ADDRESS),
    "delete_customer_address": lambda id_: ("DELETE", f"/customers/{id_}/addresses/{uuid4()}", None),
    "post_customer_address_default": lambda id_: ("POST", f"/customers/{id_}/addresses/{uuid4()}/default", None),
    "put_customer_preferences": lambda id_: ("PUT", f"/customers/{id_}/preferences", {"newsletter": True}),
    "get_customer": lambda id_: ("GET", f"/customers/{id_}", None),
    "get_customer_export": lambda id_: ("GET", f"/customers/{id_}/export", None),
}
"""What customers may do to themselves."""
TRIED_BELOW = {
    "get_order_payment",
    "post_order_payment",
    "post_order",
    "post_product_rating",
    "get_order",
    "get_customer_orders",
    "get_customer_summary",
    "get_product",
    "get_products",
    "get_related_products",
}


def test_every_route_for_customers_is_tried_on_what_is_anothers() -> None:
    for_customers = {operation.name for operation in app_globals()["routes"] if operation.own}
    assert TRIED.keys() | TRIED_ON_CUSTOMERS.keys() | TRIED_BELOW == for_customers


@pytest.mark.parametrize("headers", [{}, {"If-Match": '"7"'}, {"Idempotency-Key": "mine"}], ids=str)
@pytest.mark.parametrize("name", TRIED)
def test_anothers_order_is_answered_as_one_that_does_not_exist(two: Two, name: str, headers: dict[str, str]) -> None:
    before = two.order()
    told = {}
    for order_id in (two.order_id, str(uuid4())):
        method, path, body = TRIED[name](order_id, two.product_id)
        answer = two.stranger.http.request(method, path, json=body, headers=headers)
        told[order_id] = problem(answer, 404, "order-not-found")["detail"].replace(order_id, "ID")
    assert len(set(told.values())) == 1
    assert two.order() == before


@pytest.mark.parametrize("name", TRIED_ON_CUSTOMERS)
def test_another_customer_is_answered_as_one_who_does_not_exist(two: Two, name: str) -> None:
    before = two.shop.read(f"/customers/{two.victim_id}")
    told = {}
    for customer_id in (two.victim_id, str(uuid4())):
        method, path, body = TRIED_ON_CUSTOMERS[name](customer_id)
        answer = two.stranger.http.request(method, path, json=body)
        told[customer_id] = problem(answer, 404, "customer-not-found")["detail"].replace(customer_id, "ID")
    assert len(set(told.values())) == 1
    assert two.shop.read(f"/customers/{two.victim_id}") == before


def test_anothers_order_is_not_among_ones_own(two: Two) -> None:
    for order_id in (two.order_id, str(uuid4())):
        answer = two.stranger.get(f"/orders/{order_id}", customerId=two.stranger_id)
        assert (
            problem(answer, 404, "order-not-found")["detail"] == f"Customer {two.stranger_id} has no order {order_id}."
        )


def test_how_many_versions_anothers_order_has_is_not_told(two: Two) -> None:
    for path in (
        "/orders/{order}?customerId={customer}&minVersion=999999",
        "/customers/{customer}/orders?after={order}:999999",
        "/customers/{customer}/summary?after={order}:999999",
    ):
        for order_id in (two.order_id, str(uuid4())):
            answer = two.stranger.get(path.format(order=order_id, customer=two.stranger_id))
            assert problem(answer, 503, "read-model-behind")["detail"].endswith("The log is at version 0."), path


def test_another_customer_is_nobody(two: Two) -> None:
    unknown = str(uuid4())
    for path in (
        "/orders/{order}?customerId={customer}",
        "/orders/{order}?customerId={customer}&asOfVersion=1",
        "/customers/{customer}/orders",
        "/customers/{customer}/orders?after={order}:1",
        "/customers/{customer}/summary?minVersion=1",
    ):
        for customer_id in (two.victim_id, unknown):
            answer = two.stranger.get(path.format(order=two.order_id, customer=customer_id))
            told = problem(answer, 404, "customer-not-found")
            assert told["detail"] == f"There is no customer {customer_id}."


def test_an_order_for_another_customer_is_refused_as_one_for_nobody(two: Two) -> None:
    details = {}
    for customer_id in (two.victim_id, unknown := str(uuid4())):
        told = problem(
            two.stranger.post("/orders", order_body(customer_id, two.product_id)), 422, "invalid", "/customerId"
        )
        details[customer_id] = told["errors"][0]["detail"].replace(customer_id, "ID")
    assert details[two.victim_id] == details[unknown]


def test_a_rating_of_another_customer_is_refused_as_one_of_nobody(two: Two) -> None:
    path = f"/products/{two.product_id}/ratings"
    assert two.victim.post(path, {"customerId": two.victim_id, "rating": 5}).status_code == 204
    details = {}
    for customer_id in (two.victim_id, unknown := str(uuid4())):
        answer = two.stranger.post(path, {"customerId": customer_id, "rating": 1})
        told = problem(answer, 422, "invalid", "/customerId")
        details[customer_id] = told["errors"][0]["detail"].replace(customer_id, "ID")
    assert details[two.victim_id] == details[unknown]
    for reader in (two.victim, two.shop):
        shown = reader.read(f"/products/{two.product_id}", customerId=two.victim_id, minRatingVersion=1)
        assert (shown["userRating"], shown["ratingCount"]) == (5.0, 1)
    whose = two.stranger.get(f"/products/{two.product_id}", customerId=two.victim_id, minRatingVersion=1)
    problem(whose, 404, "customer-not-found")


def test_anothers_payment_is_answered_as_one_that_does_not_exist(two: Two) -> None:
    order_id = two.shop.payment("declined", two.victim_id)
    told = set()
    for id_ in (order_id, str(uuid4())):
        for answer in (
            two.stranger.post(f"/orders/{id_}/payment", {"token": "pm_card_visa"}),
            two.stranger.get(f"/orders/{id_}/payment", customerId=two.stranger_id),
        ):
            told.add(problem(answer, 404, "payment-not-found")["detail"].replace(id_, "ID"))
    assert len(told) == 1
    problem(two.stranger.get(f"/orders/{order_id}/payment", customerId=two.victim_id), 404, "customer-not-found")
    problem(two.victim.post(f"/orders/{order_id}/refund", {"reason": "I want it"}), 403, "forbidden")
    assert two.victim.post(f"/orders/{order_id}/payment", {"token": "pm_card_visa"}).status_code == 204


def test_customers_see_the_catalogue_in_lists(two: Two) -> None:
    listed = two.stranger.read("/products", after=f"{two.product_id}:1", take=100)
    assert two.product_id in {item["productId"] for item in listed["items"]}
    related = two.stranger.read(f"/products/{two.product_id}/related")
    assert two.product_id not in {item["productId"] for item in related["items"]}


def test_an_order_id_that_is_taken_shows_nothing_of_its_order(two: Two) -> None:
    before = two.order()
    answer = two.stranger.post("/orders", order_body(two.stranger_id, two.product_id) | {"orderId": two.order_id})
    problem(answer, 409, "order-already-exists")
    assert two.order() == before


def test_nobody_gets_an_answer_by_anothers_idempotency_key(two: Two, stack: Stack) -> None:
    key, order_id = str(uuid4()), str(uuid4())
    body = order_body(two.victim_id, two.product_id) | {"orderId": order_id}
    first = two.victim.post("/orders", body, Idempotency_Key=key)
    assert first.status_code == 201

    with Api(stack, issuer.issue(stack.issuer_key, Role, uuid4())) as clerk:
        for caller in (two.shop, clerk):
            problem(caller.post("/orders", body, Idempotency_Key=key), 409, "order-already-exists")
    own = order_body(two.stranger_id) | {"orderId": order_id}
    problem(two.stranger.post("/orders", own, Idempotency_Key=key), 409, "order-already-exists")

    again = two.victim.post("/orders", body, Idempotency_Key=key)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")


def ordering_commands(two: Two) -> tuple[str, Any, str, Any]:
    item = {"productId": two.product_id, "quantity": 1}
    path = f"/orders/{two.victim.order(two.victim_id, two.product_id)}/items"
    return path, item, path, item


def catalog_commands(two: Two) -> tuple[str, Any, str, Any]:
    rating = {"customerId": two.victim_id, "rating": 1}
    return f"/products/{two.product_id}/ratings", rating, f"/products/{two.product_id}/receipts", {"quantity": 7}


def customer_commands(two: Two) -> tuple[str, Any, str, Any]:
    email = {"email": f"{uuid4()}@example.com"}
    return f"/customers/{two.victim_id}/rename", {"name": "Ada"}, f"/customers/{two.victim_id}/email", email


def payment_commands(two: Two) -> tuple[str, Any, str, Any]:
    again = f"/orders/{two.shop.payment('declined', two.victim_id)}/payment"
    refund = f"/orders/{two.shop.payment('captured')}/refund"
    return again, {"token": "pm_card_visa"}, refund, {"reason": "One cup was broken"}


@pytest.mark.parametrize("commands", [ordering_commands, catalog_commands, customer_commands, payment_commands])
def test_a_customer_uses_up_no_key_of_the_shops_systems(
    two: Two, commands: Callable[[Two], tuple[str, Any, str, Any]]
) -> None:
    customers_path, customers_body, shops_path, shops_body = commands(two)
    key = f"delivery-2026-{uuid4()}"
    of_customer = two.victim.post(customers_path, customers_body, Idempotency_Key=key)
    of_shop = two.shop.post(shops_path, shops_body, Idempotency_Key=key)
    assert (of_customer.status_code, of_shop.status_code) == (204, 204), of_shop.text
    assert "Idempotent-Replayed" not in of_shop.headers
    for caller, path, body, first in (
        (two.victim, customers_path, customers_body, of_customer),
        (two.shop, shops_path, shops_body, of_shop),
    ):
        again = caller.post(path, body, Idempotency_Key=key)
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (204, "true")
        assert again.headers["ETag"] == first.headers["ETag"]
    found = two.shop.read("/ops/events", of=key)
    assert found["kind"] == "command"
    assert {event["actor"] for event in found["events"]} == {two.victim_id, str(issuer.DEVELOPER)}


def test_the_log_says_who_acted(two: Two) -> None:
    order_id = two.victim.order(two.victim_id, two.product_id)
    two.shop.post(f"/orders/{order_id}/submit")
    history = two.shop.read(f"/orders/{order_id}/history")["events"]
    assert [event["actor"] for event in history] == [two.victim_id, str(issuer.DEVELOPER)]
