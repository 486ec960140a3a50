"""One product that everybody wants at the same moment: nobody is turned away, and nothing is promised twice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.e2e.api import Api, eventually, order_body, problem

CLIENTS, PIECES, DELIVERIES = 64, 24, 8
SETTLED_WITHIN = 90.0
"""Seconds until all orders are reserved or wait, on a loaded machine."""


def test_64_clients_who_want_the_same_product_get_what_is_there_and_the_rest_waits(api: Api) -> None:
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
    assert {each["count"] for each in api.read("/ops/dead-letters")["subscriptions"]} == {0}


def test_of_64_clients_who_ship_the_same_pieces_as_many_succeed_as_there_are_pieces(api: Api) -> None:
    product_id = api.product()
    assert api.post(f"/products/{product_id}/receipts", {"quantity": 9}).status_code == 204
    order_id = api.order(api.customer(), product_id, quantity=5)
    api.bring(order_id, "Confirmed")
    shipment = {"items": [{"productId": product_id, "quantity": 1}]}
    too_many = {"items": [{"productId": product_id, "quantity": 6}]}

    def known() -> bool:
        answer = api.post(f"/orders/{order_id}/shipments", too_many)
        return "has 5 pieces" in answer.json()["detail"]

    eventually(known, "the catalogue has reserved five pieces of a confirmed order")
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda _: api.post(f"/orders/{order_id}/shipments", shipment), range(CLIENTS)))
    assert [answer.status_code for answer in answers].count(204) == 5
    codes = Counter(answer.json()["type"].rpartition(":")[2] for answer in answers if answer.status_code != 204)
    # behind the last piece comes the news that the order is completed
    assert codes.keys() <= {"not-reserved", "order-not-confirmed"}
    assert codes.total() == CLIENTS - 5
    problem(api.post("/orders/nope/shipments", shipment), 422, "invalid", "/orderId")
    stock = api.read(f"/products/{product_id}/inventory", minVersion=7)
    assert (stock["currentStock"], stock["reserved"]) == (4, 0)
