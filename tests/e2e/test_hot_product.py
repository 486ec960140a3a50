"""One product that everybody wants at the same moment: nobody is turned away, and nothing is promised twice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.e2e.api import Api, eventually, order_body, problem, version_of

CLIENTS, PIECES, DELIVERIES = 64, 24, 8
SETTLED_WITHIN = 90.0
"""Seconds until all orders are reserved or wait, on a loaded machine."""


def test_64_clients_who_want_the_same_product_get_what_is_there_and_the_rest_waits(api: Api) -> None:
    dead = {each["subscription"]: each["count"] for each in api.dead_letters()}
    customers = [api.customer() for _ in range(4)]
    product_id = api.product()
    assert api.post(f"/products/{product_id}/receipts", {"quantity": PIECES}).status_code == 204

    def want(number: int) -> tuple[str, str, list[int]]:
        customer_id = customers[number % len(customers)]
        created = api.post("/orders", order_body(customer_id, product_id))
        order_id = created.json()["orderId"]
        submitted = api.post(f"/orders/{order_id}/submit")
        statuses = [created.status_code, submitted.status_code]
        if number % (CLIENTS // DELIVERIES) == 0:
            statuses.append(api.post(f"/products/{product_id}/receipts", {"quantity": 1}).status_code)
        return order_id, customer_id, statuses

    with ThreadPoolExecutor(CLIENTS) as pool:
        wanted = list(pool.map(want, range(CLIENTS)))
    assert Counter(status for _, _, statuses in wanted for status in statuses) == {
        201: CLIENTS,
        204: CLIENTS + DELIVERIES,
    }

    there = PIECES + DELIVERIES

    def level() -> Any:
        return api.read(f"/products/{product_id}/inventory")

    eventually(lambda: level()["reserved"] + level()["waiting"] == CLIENTS, "all orders are known", SETTLED_WITHIN)
    shown = level()
    assert (shown["currentStock"], shown["reserved"], shown["available"]) == (there, there, 0)

    def stocks() -> Counter[str]:
        shown = (api.details(order_id, customer_id) for order_id, customer_id, _ in wanted)
        return Counter(order["items"][0]["stock"] for order in shown)

    expected = {"reserved": there, "waiting": CLIENTS - there}
    eventually(lambda: stocks() == expected, "every order says whether it is reserved", SETTLED_WITHIN)
    assert {each["subscription"]: each["count"] for each in api.dead_letters()} == dead


def test_of_64_clients_who_ship_the_same_pieces_as_many_succeed_as_there_are_pieces(api: Api) -> None:
    customer_id, [product_id, other_id] = api.customer(), api.products(2)
    for each in (product_id, other_id):
        assert api.post(f"/products/{each}/receipts", {"quantity": 9}).status_code == 204
    order_id = api.order(customer_id, product_id, other_id, quantity=5)
    api.bring(order_id, "Confirmed")
    shipment = {"items": [{"productId": product_id, "quantity": 1}]}
    too_many = {"items": [{"productId": product_id, "quantity": 6}]}

    def known() -> bool:
        answer = api.post(f"/orders/{order_id}/shipments", too_many)
        return "has 5 pieces" in answer.json()["detail"]

    eventually(known, "the catalogue has reserved five pieces of a confirmed order")
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda _: api.post(f"/orders/{order_id}/shipments", shipment), range(CLIENTS)))
    shipped = [answer for answer in answers if answer.status_code == 204]
    assert sorted(map(version_of, shipped)) == [3, 4, 5, 6, 7], "one version of the stock after the other"
    codes = Counter(code_of(answer) for answer in answers if answer not in shipped)
    assert codes == {"not-reserved": CLIENTS - 5}, "the order still waits for its other line"
    problem(api.post("/orders/nope/shipments", shipment), 422, "invalid", "/orderId")
    stock = api.read(f"/products/{product_id}/inventory", minVersion=7)
    assert (stock["currentStock"], stock["reserved"]) == (4, 0)

    rest = {"items": [{"productId": other_id, "quantity": 5}]}
    assert api.post(f"/orders/{order_id}/shipments", rest).status_code == 204

    def status() -> Any:
        return api.details(order_id, customer_id)["status"]

    eventually(lambda: status() == "Completed", "the last shipment completes the order", SETTLED_WITHIN)

    def refusal() -> str:
        return code_of(api.post(f"/orders/{order_id}/shipments", shipment))

    eventually(lambda: refusal() == "order-not-confirmed", "the catalogue knows that the order is completed")


def code_of(answer: httpx.Response) -> str:
    code: str = answer.json()["type"].rpartition(":")[2]
    return code
