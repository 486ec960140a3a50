"""Events are found by whatever an operator has in hand, with what became of each, and nothing of what they say."""

import time
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.catalog.domain.rating import rating_id
from shared.catalog.domain.stock import stock_of
from tests.e2e.api import Api, eventually, problem
from tests.support.stack import Stack

NOTED_WITHIN = 150.0
"""Seconds: a process writes down within thirty what it did, and notes the first deliveries of each minute."""


def found(api: Api, of: str, **parameters: int) -> dict[str, Any]:
    answer: dict[str, Any] = api.read("/ops/events", of=of, **parameters)
    return answer


def test_an_order_is_found_by_its_id_its_key_its_conversation_and_its_message(api: Api) -> None:
    customer_id, product_id = api.customer("Ada Lovelace"), api.product()
    order_id = api.order(customer_id, product_id)
    key = f"key-{uuid4()}"
    submitted = api.post(f"/orders/{order_id}/submit", None, Idempotency_Key=key)
    api.details(order_id, customer_id, 2)
    eventually(lambda: all(each["publishedAt"] for each in found(api, order_id)["events"]), "both are marked published")
    whole = found(api, order_id)
    assert (whole["kind"], whole["next"], whole["lookedThrough"], whole["unreadable"]) == ("aggregate", None, 0, [])
    assert [each["type"] for each in whole["events"]] == ["OrderCreatedV1", "OrderSubmittedV2"]
    [document] = whole["documents"]
    shown_at, shown_as_of = document.pop("readAt"), document.pop("readAsOf")
    process = api.read(f"/{document.pop('processAt')}")
    assert (process["orderId"], process["state"], process["endedAt"]) == (order_id, "submitted", None)
    assert document == {
        "view": "orders",
        "documentId": order_id,
        "partitionKey": customer_id,
        "version": 2,
        "logged": 2,
    }
    assert api.read(f"/{shown_at}")["status"] == "Submitted"
    assert api.read("/" + shown_as_of.format(version=1))["status"] == "Created"
    last = whole["events"][1]
    [told] = api.read(f"/{last['saidAt']}")["events"]
    assert (told["version"], told["type"]) == (2, last["type"])
    [showing] = last["showings"]
    assert (showing["view"], showing["shown"]) == ("orders", True)
    assert last["occurredAt"] <= showing["at"]
    command = found(api, key)
    assert (command["kind"], command["events"]) == ("command", [last])
    for of in (submitted.headers["X-Correlation-Id"], last["eventId"]):

        def types(of: str = of) -> list[str]:
            return [each["type"] for each in found(api, of)["events"]]

        eventually(lambda: types()[1:] == ["StockNotKeptV1"], "what the catalogue says to that is found as well")
        whole = found(api, of)
        assert (whole["kind"], whole["events"][0]) == ("other", last), of


def submitted(api: Api) -> list[dict[str, Any]]:
    """The events of an order that was made and submitted now."""
    order_id = api.order(api.customer(), api.product())
    assert api.post(f"/orders/{order_id}/submit").status_code == 204
    events: list[dict[str, Any]] = found(api, order_id)["events"]
    return events


def test_an_event_is_delivered_to_those_who_take_it_and_to_nobody_else(api: Api) -> None:
    def deliveries(event: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {each["subscription"]: each for each in api.read("/ops/deliveries", eventId=event["eventId"])["items"]}

    takers = {"order-events/order-views", "order-events/fulfilment", "order-events/catalog"}
    orders = dict[int, list[dict[str, Any]]]()

    def noted() -> list[list[dict[str, Any]]]:
        minute = int(time.time() // 60)
        if minute not in orders:  # a process notes the first deliveries of a minute, which may all be of other tests
            orders[minute] = submitted(api)
        return [events for events in orders.values() if deliveries(events[1]).keys() == takers]

    eventually(noted, "the deliveries of one of them are noted", NOTED_WITHIN)
    [(subscription, delivery)] = deliveries(noted()[0][0]).items()
    assert subscription == "order-events/order-views", "one function runs for an order that is only created"
    assert (delivery["attempt"], delivery["error"]) == (1, None)
    assert delivery["requestUnits"] >= 10


def test_where_a_document_is_read_is_an_operation_that_shows_it(api: Api) -> None:
    customer_id, product_id = api.customer(), api.product()
    assert api.post(f"/products/{product_id}/receipts", {"quantity": 7}).status_code == 204
    rating = {"customerId": customer_id, "rating": 4}
    assert api.post(f"/products/{product_id}/ratings", rating).status_code == 204
    documents = {
        "product": product_id,
        "stock": str(stock_of(UUID(product_id))),
        "rating": str(rating_id(UUID(product_id), UUID(customer_id))),
    }

    def shown() -> dict[str, dict[str, Any]]:
        answers = {what: found(api, id_)["documents"] for what, id_ in documents.items()}
        return {what: document for what, [document] in answers.items() if document["version"]}

    eventually(lambda: shown().keys() == documents.keys(), "all of them are shown")
    read_at = {what: document["readAt"] for what, document in shown().items()}
    assert api.read(f"/{read_at['product']}")["productId"] == product_id
    assert api.read(f"/{read_at['stock']}")["currentStock"] == 7
    assert read_at["rating"] is None


def test_it_tells_which_contexts_have_taken_an_event_in_and_nothing_of_what_it_says(api: Api) -> None:
    customer_id = api.customer("Grace Hopper")
    eventually(lambda: found(api, customer_id)["events"][0]["received"], "ordering has it")
    answer = found(api, customer_id)
    assert {each["context"] for each in answer["events"][0]["received"]} >= {"ordering"}
    assert "Grace" not in str(answer)
    assert "example.com" not in str(answer)


def test_an_aggregates_events_are_paged_and_what_is_nobodys_is_nothing(api: Api) -> None:
    product_id = api.product()
    for name in ("Cup", "Pot"):
        assert api.post(f"/products/{product_id}/rename", {"name": name}).status_code == 204
    first = found(api, product_id, take=2)
    assert ([each["version"] for each in first["events"]], first["next"]) == ([1, 2], 2)
    rest = found(api, product_id, take=2, after=2)
    assert ([each["version"] for each in rest["events"]], rest["next"]) == ([3], None)
    for of in (str(uuid4()), "nobody's key"):
        nothing = found(api, of, reach=50)
        assert (nothing["kind"], nothing["events"], nothing["lookedThrough"]) == ("nothing", [], 50)


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ({"of": "x", "reach": 100_001}, "/reach"),
        ({"of": "x", "take": 201}, "/take"),
        ({"of": "x" * 256}, "/of"),
        ({}, "/of"),
    ],
)
def test_a_search_has_bounds(api: Api, parameters: dict[str, Any], pointer: str) -> None:
    problem(api.get("/ops/events", **parameters), 422, "invalid", pointer)


def test_the_role_ops_is_enough(stack: Stack, api: Api) -> None:
    product_id = api.product()
    with Api(stack, stack.token("Ops")) as operator:
        assert found(operator, product_id)["kind"] == "aggregate"
