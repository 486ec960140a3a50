"""What happened to an order, and what it was, is told by the log."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from tests.e2e.api import Api, eventually, problem

TYPES = ["OrderCreatedV1", "OrderItemsAddedV1", "OrderItemRemovedV1", "OrderSubmittedV2", "OrderCancelledV1"]


@pytest.fixture(scope="module")
def order(api: Api, customer_id: str) -> dict[str, Any]:
    """An order with five events, and what it showed after each of them."""
    first, second = api.products(2)
    order_id = api.order(customer_id, first)
    shown = [api.details(order_id, customer_id)]
    api.post(f"/orders/{order_id}/items", {"productId": second, "quantity": 3}, X_Correlation_Id="a-second-thought")
    shown.append(api.details(order_id, customer_id, 2))
    assert api.http.delete(f"/orders/{order_id}/items/{first}").status_code == 204
    shown.append(api.details(order_id, customer_id, 3))
    api.post(f"/orders/{order_id}/submit", Idempotency_Key=f"submit-{order_id}")
    shown.append(api.details(order_id, customer_id, 4))
    api.post(f"/orders/{order_id}/cancel", {"reason": "too late"})
    shown.append(api.details(order_id, customer_id, 5))
    return {"id": order_id, "shown": shown}


def test_the_history_has_every_event_with_who_when_and_why(api: Api, customer_id: str, order: dict[str, Any]) -> None:
    path = f"/orders/{order['id']}/history"
    eventually(lambda: all(event["publishedAt"] for event in api.read(path)["events"]), "all is marked as published")
    history = api.read(path)
    events = history["events"]

    assert (history["customerId"], history["version"]) == (customer_id, 5)
    assert [event["version"] for event in events] == [1, 2, 3, 4, 5]
    assert [event["type"] for event in events] == TYPES
    assert events[1]["correlationId"] == "a-second-thought"
    assert events[3]["commandId"] == events[3]["causationId"] == f"submit-{order['id']}"
    assert events[4]["data"]["reason"] == "too late"
    assert {event["actor"] for event in events} != {""}
    for event in events:
        times = [datetime.fromisoformat(event[name]) for name in ("occurredAt", "publishedAt", "projectedAt")]
        assert (times[1] - times[0]).total_seconds() >= 0
        assert (times[2] - times[0]).total_seconds() > -0.001, "documents have milliseconds"


def test_the_history_comes_in_pages(api: Api, order: dict[str, Any]) -> None:
    page = api.read(f"/orders/{order['id']}/history", afterVersion=1, take=2)
    assert [event["version"] for event in page["events"]] == [2, 3]
    assert page["version"] == 5
    assert api.read(f"/orders/{order['id']}/history", afterVersion=5)["events"] == []


def test_an_order_is_shown_as_it_was_at_each_version_and_time(
    api: Api, customer_id: str, order: dict[str, Any]
) -> None:
    path = f"/orders/{order['id']}"
    events = api.read(f"{path}/history")["events"]
    for event, shown in zip(events, order["shown"], strict=True):
        assert api.read(path, customerId=customer_id, asOfVersion=event["version"]) == shown
        assert api.read(path, customerId=customer_id, asOf=event["occurredAt"]) == shown


def test_what_never_was_is_not_found(api: Api, customer_id: str, order: dict[str, Any]) -> None:
    path = f"/orders/{order['id']}"
    problem(api.get(path, customerId=customer_id, asOfVersion=6), 404, "no-such-version")
    problem(api.get(path, customerId=customer_id, asOf="2020-01-01T00:00:00Z"), 404, "no-such-version")
    problem(api.get(path, customerId=str(uuid4()), asOfVersion=1), 404, "order-not-found")
    problem(api.get(f"/orders/{uuid4()}/history"), 404, "order-not-found")


def test_of_a_version_and_a_time_the_earlier_counts(api: Api, customer_id: str, order: dict[str, Any]) -> None:
    path = f"/orders/{order['id']}"
    times = [event["occurredAt"] for event in api.read(f"{path}/history")["events"]]
    for version, time, expected in ((2, times[3], 2), (4, times[1], 2)):
        assert api.read(path, customerId=customer_id, asOfVersion=version, asOf=time) == order["shown"][expected - 1]


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"asOf": "2026-01-01"}, "date and time with its offset"),
        ({"asOf": "2026-01-01T00:00:00"}, "date and time with its offset"),
        ({"asOfVersion": "0"}, "greater than or equal to 1"),
    ],
)
def test_a_time_that_makes_no_sense_is_refused(
    api: Api, customer_id: str, order: dict[str, Any], parameters: dict[str, str], rule: str
) -> None:
    answer = api.get(f"/orders/{order['id']}?" + urlencode(parameters | {"customerId": customer_id}))
    assert rule in problem(answer, 422, "invalid", *(f"/{name}" for name in parameters))["errors"][0]["detail"]
