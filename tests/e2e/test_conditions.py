"""Conditional requests on every route: each command minds If-Match, each query answers If-None-Match."""

from collections.abc import Callable
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest

from tests.e2e.api import ADDRESS, Api, eventually, order_body, problem, version_of
from tests.support.rights import RIGHTS


class Command(NamedTuple):
    """A command that can be carried out now, on something at this version."""

    path: str
    body: object
    version: int
    method: str = "POST"
    status: int = 204


def on_order(api: Api, verb: str, status: str, body: object = None) -> Command:
    order_id = api.order(api.customer(), api.product())
    api.bring(order_id, status)
    return Command(f"/orders/{order_id}/{verb}", body, {"Created": 1, "Submitted": 2, "Confirmed": 3}[status])


def on_address(api: Api, path: str, body: object = None, method: str = "POST") -> Command:
    customer_id, address_id = api.customer(), str(uuid4())
    assert api.post(f"/customers/{customer_id}/addresses", ADDRESS | {"addressId": address_id}).status_code == 201
    return Command(f"/customers/{customer_id}/addresses/{address_id}{path}", body, 2, method)


def withdrawal(api: Api) -> Command:
    customer_id = api.customer()
    assert api.post(f"/customers/{customer_id}/erase", {"reason": "r"}).status_code == 204
    api.order(customer_id, api.product())  # while it is open, nobody is erased
    return Command(f"/customers/{customer_id}/erase/withdraw", None, 2)


def removal(api: Api) -> Command:
    product_id = api.product()
    return Command(f"/orders/{api.order(api.customer(), product_id)}/items/{product_id}", None, 1, "DELETE")


def kept(api: Api) -> str:
    product_id = api.product()
    assert api.post(f"/products/{product_id}/receipts", {"quantity": 2}).status_code == 204
    return product_id


def shipment(api: Api) -> Command:
    product_id = kept(api)
    customer_id = api.customer()
    order_id = api.order(customer_id, product_id)
    api.bring(order_id, "Confirmed")
    eventually(lambda: api.details(order_id, customer_id)["items"][0]["stock"] == "reserved", "the order is reserved")
    body = {"items": [{"productId": product_id, "quantity": 1}]}

    def confirmed() -> bool:  # the catalogue hears of it in its own time: nothing is shipped by a wrong version
        tried = api.http.post(f"/orders/{order_id}/shipments", json=body, headers={"If-Match": '"999"'})
        return tried.status_code == httpx.codes.PRECONDITION_FAILED

    eventually(confirmed, "the catalogue knows that the order is confirmed")
    return Command(f"/orders/{order_id}/shipments", body, 2)


def rated(api: Api) -> Command:
    path, rating = f"/products/{api.product()}/ratings", {"customerId": str(uuid4()), "rating": 4}
    assert api.post(path, rating).status_code == 204
    return Command(path, rating | {"rating": 5}, 1)


CHANGES: dict[str, Callable[[Api], Command]] = {
    "POST customers/{customerId}/rename": lambda api: Command(f"/customers/{api.customer()}/rename", {"name": "E"}, 1),
    "POST customers/{customerId}/email": lambda api: Command(
        f"/customers/{api.customer()}/email", {"email": f"{uuid4()}@example.com"}, 1
    ),
    "POST customers/{customerId}/addresses": lambda api: Command(
        f"/customers/{api.customer()}/addresses", ADDRESS, 1, status=201
    ),
    "PUT customers/{customerId}/addresses/{addressId}": lambda api: on_address(api, "", ADDRESS, "PUT"),
    "DELETE customers/{customerId}/addresses/{addressId}": lambda api: on_address(api, "", None, "DELETE"),
    "POST customers/{customerId}/addresses/{addressId}/default": lambda api: on_address(api, "/default"),
    "POST customers/{customerId}/erase": lambda api: Command(f"/customers/{api.customer()}/erase", {"reason": "r"}, 1),
    "POST customers/{customerId}/erase/withdraw": withdrawal,
    "PUT customers/{customerId}/preferences": lambda api: Command(
        f"/customers/{api.customer()}/preferences", {"language": "en-GB"}, 1, "PUT"
    ),
    "POST products/{productId}/price": lambda api: Command(f"/products/{api.product()}/price", {"unitPrice": "2"}, 1),
    "POST products/{productId}/rename": lambda api: Command(f"/products/{api.product()}/rename", {"name": "Cup"}, 1),
    "POST orders/{orderId}/shipments": shipment,
    "POST products/{productId}/receipts": lambda api: Command(f"/products/{kept(api)}/receipts", {"quantity": 1}, 1),
    "POST products/{productId}/recounts": lambda api: Command(
        f"/products/{kept(api)}/recounts", {"counted": 1, "reason": "r"}, 1
    ),
    "POST products/{productId}/ratings": rated,
    "POST orders/{orderId}/items": lambda api: on_order(
        api, "items", "Created", {"productId": api.product(), "quantity": 1}
    ),
    "DELETE orders/{orderId}/items/{productId}": removal,
    "POST orders/{orderId}/shipping-address": lambda api: on_order(api, "shipping-address", "Created", ADDRESS),
    "POST orders/{orderId}/submit": lambda api: on_order(api, "submit", "Created"),
    "POST orders/{orderId}/confirm": lambda api: on_order(api, "confirm", "Submitted"),
    "POST orders/{orderId}/complete": lambda api: on_order(api, "complete", "Confirmed"),
    "POST orders/{orderId}/payment": lambda api: Command(
        f"/orders/{api.payment('declined')}/payment", {"token": "pm_card_visa"}, 3
    ),
    "POST orders/{orderId}/refund": lambda api: Command(
        f"/orders/{api.payment('captured')}/refund", {"amount": "1.00", "reason": "r"}, 5
    ),
    "POST orders/{orderId}/cancel": lambda api: on_order(api, "cancel", "Created", {"reason": "no"}),
}
CREATIONS: dict[str, Callable[[Api], Command]] = {
    "POST customers": lambda _: Command("/customers", {"name": "Ada", "email": f"{uuid4()}@example.com"}, 0),
    "POST products": lambda _: Command(
        "/products", {"name": "Cup", "category": "c", "unitPrice": "1", "currency": "EUR"}, 0
    ),
    "POST orders": lambda api: Command("/orders", order_body(api.customer(), api.product()), 0),
}
QUERIES: dict[str, Callable[[str, str, str], str]] = {
    "GET customers/{customerId}/export": lambda customer, _order, _product: f"/customers/{customer}/export",
    "GET customers/{customerId}": lambda customer, _order, _product: f"/customers/{customer}",
    "GET customers/{customerId}/summary": lambda customer, _order, _product: f"/customers/{customer}/summary",
    "GET customers/{customerId}/orders": lambda customer, _order, _product: f"/customers/{customer}/orders",
    "GET products/{productId}": lambda _customer, _order, product: f"/products/{product}",
    "GET products/{productId}/inventory": lambda _customer, _order, product: f"/products/{product}/inventory",
    "GET products/{productId}/related": lambda _customer, _order, product: f"/products/{product}/related",
    "GET inventory/out-of-stock": lambda *_: "/inventory/out-of-stock?take=1",
    "GET products": lambda _customer, _order, product: f"/products?take=1&after={product}:1",
    "GET orders/{orderId}": lambda customer, order, _product: f"/orders/{order}?customerId={customer}",
    "GET orders/{orderId}/history": lambda _customer, order, _product: f"/orders/{order}/history",
    "GET ops/processes": lambda *_: "/ops/processes?take=1",
    "GET ops/audit": lambda *_: "/ops/audit",
    "GET ops/events": lambda _customer, order, _product: f"/ops/events?of={order}",
    "GET ops/deliveries": lambda _customer, order, _product: f"/ops/deliveries?eventId={order}",
}
ELSEWHERE = {"GET customers", "GET orders/{orderId}/payment", "GET ops/processes/{orderId}"}
"""The first answers as `GET customers/{customerId}` does, and is tried in test_profiles.py; payments are in
test_payments.py, and processes in test_fulfilment.py."""
CHANGING = {
    "GET ops/projections",
    "GET ops/projections/{view}",
    "GET ops/dead-letters",
    "GET ops/outbox",
    "GET ops/history",
}
"""How things are at this moment: ages in seconds are another answer each time."""


def sent(api: Api, command: Command, if_match: str) -> httpx.Response:
    return api.http.request(command.method, command.path, json=command.body, headers={"If-Match": if_match})


def test_every_route_is_in_one_of_these_tables() -> None:
    shop = {route for route, right in RIGHTS.items() if right.role and not route.startswith("POST ops/")}
    assert shop == CHANGES.keys() | CREATIONS.keys() | QUERIES.keys() | CHANGING | ELSEWHERE


@pytest.mark.parametrize("route", CHANGES)
def test_a_command_is_carried_out_on_the_version_that_if_match_names_and_on_no_other(api: Api, route: str) -> None:
    command = CHANGES[route](api)
    now = command.version
    for stale in (f'"{now + 1}"', f'"{now + 1}", "{now + 2}.0.1"', f'W/"{now}"', '"x"', f'"{now}0"', '""'):
        problem(sent(api, command, stale), 412, "stale-version")
    for broken in (str(now), f'"{now}', f'*, "{now}"'):
        problem(sent(api, command, broken), 422, "invalid", "/If-Match")
    answer = sent(api, command, f'"x", "{now}.7.3"')
    assert (answer.status_code, version_of(answer)) == (command.status, now + 1)


@pytest.mark.parametrize("route", CHANGES)
def test_a_command_on_any_version_is_carried_out(api: Api, route: str) -> None:
    command = CHANGES[route](api)
    answer = sent(api, command, "*")
    assert (answer.status_code, version_of(answer)) == (command.status, command.version + 1)


def test_the_etag_of_the_inventory_names_the_version_of_the_stock_for_who_changes_it(api: Api) -> None:
    product_id = api.product()
    path, recounts = f"/products/{product_id}/inventory", f"/products/{product_id}/recounts"
    unkept = api.get(path)
    assert unkept.json()["version"] is None
    body = {"counted": 1, "reason": "r"}
    for quantity in (2, 3):
        received = api.post(f"/products/{product_id}/receipts", {"quantity": quantity})
    shown = api.get(path, {"Prefer": "wait=30"}, minVersion=version_of(received))
    assert shown.json()["version"] == 2
    problem(api.post(recounts, body, If_Match=unkept.headers["ETag"]), 412, "stale-version")
    assert version_of(api.post(recounts, body, If_Match=shown.headers["ETag"])) == 3
    problem(api.post(recounts, body, If_Match=shown.headers["ETag"]), 412, "stale-version")


@pytest.mark.parametrize("route", CREATIONS)
def test_what_is_yet_to_be_made_has_no_version_that_if_match_could_name(api: Api, route: str) -> None:
    command = CREATIONS[route](api)
    for stale in ('"1"', 'W/"1"', '"0"', "*"):
        problem(sent(api, command, stale), 412, "stale-version")
    answer = api.http.request(command.method, command.path, json=command.body)
    assert (answer.status_code, version_of(answer)) == (201, 1)


@pytest.mark.parametrize("route", QUERIES)
def test_a_query_is_answered_without_its_body_to_whoever_has_it(api: Api, route: str) -> None:
    customer_id, product_id = api.customer(), api.product()
    path = QUERIES[route](customer_id, api.order(customer_id, product_id), product_id)
    eventually(lambda: '"publishedAt":null' not in api.get(path).text, "it knows when its events were published")
    first = api.get(path)
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    for known in (tag, f"W/{tag}", f'"x", W/{tag}', "*"):
        for method in ("GET", "HEAD"):
            same = api.http.request(method, path, headers={"If-None-Match": known})
            assert (same.status_code, same.content) == (304, b""), (method, known)
            assert (same.headers["ETag"], same.headers["Cache-Control"]) == (tag, "private, no-cache")
    for other in ('"x"', tag.strip('"'), f'{tag[:-1]}0"', f"*, {tag}", f'"{uuid4()}"'):
        answer = api.get(path, {"If-None-Match": other})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (200, first.content, tag), other
