"""Commands on one order at the same time: none is lost, and whoever names a version acts on that one only."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.api import Api, eventually, problem, version_of

AT_ONCE = 16


@pytest.fixture(scope="module")
def products(api: Api) -> list[str]:
    return api.products(AT_ONCE, "0.10")


def test_items_that_are_added_at_once_all_land(api: Api, customer_id: str, products: list[str]) -> None:
    order_id = api.order(customer_id)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(
            pool.map(lambda id_: api.post(f"/orders/{order_id}/items", {"productId": id_, "quantity": 1}), products)
        )

    assert {answer.status_code for answer in answers} == {204}
    assert sorted(version_of(answer) for answer in answers) == list(range(2, AT_ONCE + 2))
    details = api.details(order_id, customer_id, AT_ONCE + 1)
    assert {line["productId"] for line in details["items"]} == set(products)
    assert details["total"] == "1.60"


def test_pieces_of_one_product_added_at_once_add_up(api: Api, customer_id: str, products: list[str]) -> None:
    order_id = api.order(customer_id, products[0])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        item = {"productId": products[0], "quantity": 3}
        statuses = pool.map(lambda _: api.post(f"/orders/{order_id}/items", item).status_code, range(AT_ONCE))
        assert set(statuses) == {204}

    line = api.details(order_id, customer_id, AT_ONCE + 1)["items"][0]
    assert line["quantity"] == 1 + 3 * AT_ONCE


def test_of_many_submits_at_once_one_is_taken(api: Api, customer_id: str, products: list[str]) -> None:
    order_id = api.order(customer_id, products[0])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = Counter(pool.map(lambda _: api.post(f"/orders/{order_id}/submit").status_code, range(AT_ONCE)))

    assert statuses == {204: 1, 409: AT_ONCE - 1}
    assert api.details(order_id, customer_id, 2)["version"] == 2


def test_of_many_that_act_on_one_version_at_once_one_is_taken(api: Api, customer_id: str, products: list[str]) -> None:
    order_id = api.order(customer_id, products[0])

    def add(product_id: str) -> int:
        item = {"productId": product_id, "quantity": 1}
        return api.post(f"/orders/{order_id}/items", item, If_Match='"1"').status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = Counter(pool.map(add, products))

    assert statuses == {204: 1, 412: AT_ONCE - 1}
    assert api.details(order_id, customer_id, 2)["version"] == 2


def test_a_stale_version_is_412_and_changes_nothing(api: Api, customer_id: str, products: list[str]) -> None:
    order_id = api.order(customer_id, products[0])
    api.bring(order_id, "Submitted")
    before = api.details(order_id, customer_id, 2)

    problem(api.post(f"/orders/{order_id}/confirm", None, If_Match='"1"'), 412, "stale-version")

    assert api.details(order_id, customer_id) == before
    assert version_of(api.post(f"/orders/{order_id}/confirm", None, If_Match='"2"')) == 3


def test_the_etag_of_a_query_serves_as_if_match(api: Api, customer_id: str) -> None:
    product_id = api.product()
    order_id = api.order(customer_id, product_id)

    def etag() -> str:
        return str(api.get(f"/orders/{order_id}", customerId=customer_id).headers["ETag"])

    before = etag()
    api.post(f"/products/{product_id}/rename", {"name": "Renamed"})
    eventually(lambda: etag() != before, "the rename has reached the order")
    answer = api.post(f"/orders/{order_id}/submit", None, If_Match=etag())

    assert (answer.status_code, version_of(answer)) == (204, 2)


@pytest.mark.parametrize("path", ["products/{}/price", "products/{}/rename"])
def test_changes_of_a_product_take_if_match_too(api: Api, path: str) -> None:
    product_id = api.product()
    body = {"unitPrice": "2"} if path.endswith("price") else {"name": "Cup"}

    problem(api.post("/" + path.format(product_id), body, If_Match='"7"'), 412, "stale-version")

    assert version_of(api.post("/" + path.format(product_id), body, If_Match='"1"')) == 2
