"""The same Idempotency-Key: one effect, one answer, however often and whenever the command comes again."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.api import Api, order_body, problem, version_of

AT_ONCE = 12


def replayed(answer: httpx.Response) -> bool:
    return "true" in answer.headers.get_list("Idempotent-Replayed")


def essence(answer: httpx.Response) -> Any:
    return answer.status_code, answer.content, answer.headers.get("ETag"), answer.headers.get("Location")


def test_a_create_sent_again_answers_the_order_that_it_made(api: Api, product_id: str) -> None:
    customer_id, key = api.customer(), str(uuid4())
    body = order_body(customer_id, product_id)

    first = api.post("/orders", body, Idempotency_Key=key)
    again = api.post("/orders", body, Idempotency_Key=key)

    assert first.status_code == 201
    assert not replayed(first)
    assert essence(again) == essence(first)
    assert replayed(again)
    after = f"{first.json()['orderId']}:{version_of(first)}"
    assert api.read(f"/customers/{customer_id}/orders", after=after)["totalCount"] == 1


def test_a_replay_gives_the_first_answer_after_the_order_has_moved_on(
    api: Api, customer_id: str, product_id: str
) -> None:
    order_id, key = api.order(customer_id, product_id), str(uuid4())
    first = api.post(f"/orders/{order_id}/submit", None, Idempotency_Key=key)
    assert api.post(f"/orders/{order_id}/confirm").status_code == 204
    assert api.post(f"/orders/{order_id}/complete").status_code == 204

    again = api.post(f"/orders/{order_id}/submit", None, Idempotency_Key=key)

    assert essence(again) == essence(first)
    assert (again.status_code, version_of(again), replayed(again)) == (204, 2, True)
    assert api.details(order_id, customer_id, 4)["status"] == "Completed"


def test_an_added_item_is_not_added_again(api: Api, customer_id: str, product_id: str) -> None:
    order_id, key = api.order(customer_id, product_id), str(uuid4())
    item = {"productId": product_id, "quantity": 2}

    answers = [api.post(f"/orders/{order_id}/items", item, Idempotency_Key=key) for _ in range(3)]

    assert [(version_of(answer), replayed(answer)) for answer in answers] == [(2, False), (2, True), (2, True)]
    assert api.details(order_id, customer_id, 2)["items"][0]["quantity"] == 3


def test_the_key_of_another_command_is_refused(api: Api, customer_id: str, product_id: str) -> None:
    order_id, other, key = api.order(customer_id, product_id), api.order(customer_id, product_id), str(uuid4())
    item = {"productId": product_id, "quantity": 2}
    assert api.post(f"/orders/{order_id}/items", item, Idempotency_Key=key).status_code == 204

    for path, body in (
        (f"/orders/{order_id}/items", item | {"quantity": 3}),
        (f"/orders/{other}/items", item),
        (f"/orders/{order_id}/submit", None),
    ):
        problem(api.post(path, body, Idempotency_Key=key), 422, "idempotency-key-reused")

    assert api.details(order_id, customer_id, 2)["version"] == 2
    assert api.details(other, customer_id, 1)["version"] == 1


def test_the_order_of_fields_does_not_make_another_command(api: Api, customer_id: str, product_id: str) -> None:
    order_id, key = api.order(customer_id, product_id), str(uuid4())
    item = {"productId": product_id, "quantity": 2}
    api.post(f"/orders/{order_id}/items", item, Idempotency_Key=key)

    again = api.post(f"/orders/{order_id}/items", dict(reversed(item.items())), Idempotency_Key=key)

    assert (again.status_code, replayed(again)) == (204, True)


@pytest.mark.parametrize(
    "spellings",
    [["100", "100.0", "1e2", '"100"', '"100.00"'], ["24.90", '"24.90"', "24.9", "2.49e1", '"24.9000"']],
    ids=["100", "24.90"],
)
def test_another_spelling_of_an_amount_does_not_make_another_command(api: Api, spellings: list[str]) -> None:
    product_id, key = api.product(), str(uuid4())

    def send(price: str, key: str) -> httpx.Response:
        body = f'{{"unitPrice": {price}}}'
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        return api.http.post(f"/products/{product_id}/price", content=body, headers=headers)

    answers = [send(price, key) for price in spellings]
    assert {essence(answer) for answer in answers} == {(204, b"", '"2"', None)}
    assert [replayed(answer) for answer in answers] == [False, *[True] * (len(spellings) - 1)]
    problem(send("24.91", key), 422, "idempotency-key-reused")


def test_a_refused_command_leaves_its_key_free(api: Api, customer_id: str, product_id: str) -> None:
    order_id, key = api.order(customer_id, product_id), str(uuid4())
    problem(api.post(f"/orders/{order_id}/confirm", None, Idempotency_Key=key), 409, "order-status")
    assert api.post(f"/orders/{order_id}/submit").status_code == 204

    answer = api.post(f"/orders/{order_id}/confirm", None, Idempotency_Key=key)

    assert (answer.status_code, replayed(answer)) == (204, False)


def test_of_many_requests_with_one_key_at_once_one_has_an_effect(api: Api, customer_id: str, product_id: str) -> None:
    order_id, key = api.order(customer_id, product_id), str(uuid4())
    item = {"productId": product_id, "quantity": 5}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(
            pool.map(lambda _: api.post(f"/orders/{order_id}/items", item, Idempotency_Key=key), range(AT_ONCE))
        )

    assert {essence(answer) for answer in answers} == {(204, b"", '"2"', None)}
    assert sum(not replayed(answer) for answer in answers) == 1
    details = api.details(order_id, customer_id, 2)
    assert (details["version"], details["items"][0]["quantity"]) == (2, 6)


def test_of_many_creates_with_one_key_at_once_one_makes_an_order(api: Api, product_id: str) -> None:
    customer_id, key = api.customer(), str(uuid4())
    body = order_body(customer_id, product_id)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: api.post("/orders", body, Idempotency_Key=key), range(AT_ONCE)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({essence(answer) for answer in answers}) == 1
    assert sum(not replayed(answer) for answer in answers) == 1
    after = f"{answers[0].json()['orderId']}:1"
    assert api.read(f"/customers/{customer_id}/orders", after=after)["totalCount"] == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/customers", {"name": "Ada", "email": f"{uuid4()}@example.com"}),
        ("/products", {"name": "Cup", "category": "kitchen", "unitPrice": "1", "currency": "EUR"}),
    ],
)
def test_customers_and_products_are_made_once_too(api: Api, path: str, body: dict[str, str]) -> None:
    key = str(uuid4())
    first, again = (api.post(path, body, Idempotency_Key=key) for _ in range(2))

    assert (first.status_code, replayed(first), replayed(again)) == (201, False, True)
    assert essence(again) == essence(first)
    problem(api.post(path, body | {"name": "Eve"}, Idempotency_Key=key), 422, "idempotency-key-reused")


def test_an_id_that_is_taken_is_refused(api: Api, customer_id: str, product_id: str) -> None:
    order_id = api.order(customer_id, product_id)

    problem(api.post("/orders", order_body(customer_id) | {"orderId": order_id}), 409, "order-already-exists")

    assert len(api.details(order_id, customer_id)["items"]) == 1
