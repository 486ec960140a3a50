"""Every command in every status: what is not allowed is refused, and nothing has changed."""

from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.api import Api, problem, version_of

STATUSES = ("Created", "Submitted", "Confirmed", "Completed", "Cancelled")
ALLOWED = {
    "add": {"Created"},
    "remove": {"Created"},
    "submit": {"Created"},
    "confirm": {"Submitted"},
    "complete": {"Confirmed"},
    "cancel": {"Created", "Submitted", "Confirmed"},
}


def send(api: Api, verb: str, order_id: str, product_id: str) -> Any:
    if verb == "remove":
        return api.http.delete(f"/orders/{order_id}/items/{product_id}")
    if verb == "add":
        return api.post(f"/orders/{order_id}/items", {"productId": product_id, "quantity": 1})
    return api.post(f"/orders/{order_id}/{verb}", {"reason": "why not"} if verb == "cancel" else None)


@pytest.mark.parametrize("verb", ALLOWED)
@pytest.mark.parametrize("status", STATUSES)
def test_a_command_is_taken_in_its_statuses_only(
    api: Api, customer_id: str, product_id: str, status: str, verb: str
) -> None:
    order_id = api.order(customer_id, product_id)
    api.bring(order_id, status)
    version = 1 + {"Created": 0, "Submitted": 1, "Confirmed": 2, "Completed": 3, "Cancelled": 2}[status]
    before = api.details(order_id, customer_id, version)
    assert before["status"] == status

    answer = send(api, verb, order_id, product_id)

    if status in ALLOWED[verb]:
        assert answer.status_code == 204
        assert version_of(answer) == version + 1
    else:
        told = problem(answer, 409, "order-status")
        assert status in told["detail"]
        assert api.details(order_id, customer_id) == before
        problem(api.post(f"/orders/{order_id}/submit", None, If_Match='"999"'), 412, "stale-version")
        current = api.post(f"/orders/{order_id}/submit", None, If_Match=f'"{version}"')
        assert current.status_code != 412, "the refused command must not have made a version"


@pytest.mark.parametrize("verb", ALLOWED)
def test_a_command_on_an_unknown_order_is_404(api: Api, product_id: str, verb: str) -> None:
    problem(send(api, verb, str(uuid4()), product_id), 404, "order-not-found")


def test_an_empty_order_cannot_be_submitted(api: Api, customer_id: str) -> None:
    order_id = api.order(customer_id)

    problem(api.post(f"/orders/{order_id}/submit"), 409, "order-empty")

    assert api.details(order_id, customer_id)["version"] == 1


def test_an_item_that_is_not_in_the_order_cannot_be_removed(api: Api, customer_id: str, product_id: str) -> None:
    order_id = api.order(customer_id)

    problem(api.http.delete(f"/orders/{order_id}/items/{product_id}"), 404, "item-not-in-order")

    assert api.details(order_id, customer_id)["version"] == 1


def test_a_stale_expected_price_is_refused_with_the_price_of_now(api: Api, customer_id: str, product_id: str) -> None:
    order_id = api.order(customer_id, product_id)
    before = api.details(order_id, customer_id)

    item = {"productId": product_id, "quantity": 1, "expectedPrice": "24.89"}
    told = problem(api.post(f"/orders/{order_id}/items", item), 409, "price-changed", "/expectedPrice")

    assert "24.90 EUR" in told["errors"][0]["detail"]
    assert api.details(order_id, customer_id) == before


def test_currencies_cannot_be_mixed(api: Api, customer_id: str, product_id: str) -> None:
    yen = api.product("1200", "JPY")
    order_id = api.order(customer_id, product_id)
    before = api.details(order_id, customer_id)

    item = {"productId": yen, "quantity": 1}
    problem(api.post(f"/orders/{order_id}/items", item), 409, "currency-mix", "/productId")

    assert api.details(order_id, customer_id) == before


def test_a_line_cannot_grow_beyond_its_limit(api: Api, customer_id: str, product_id: str) -> None:
    order_id = api.order(customer_id, product_id, quantity=10_000)
    before = api.details(order_id, customer_id)

    problem(api.post(f"/orders/{order_id}/items", {"productId": product_id, "quantity": 1}), 409, "order-too-large")

    assert api.details(order_id, customer_id) == before
