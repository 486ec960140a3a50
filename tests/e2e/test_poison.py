"""A poisonous event: dead-lettered with the reason, in nobody's way, and healed when its cause is gone."""

import json
from typing import Any
from uuid import UUID, uuid4

from azure.cosmos import ContainerProxy
from azure.servicebus import ServiceBusClient, ServiceBusReceivedMessage, ServiceBusSubQueue

from tests.e2e.api import Api, eventually, version_of
from tests.e2e.documents import orders_container
from tests.support.envelopes import an_envelope
from tests.support.publishing import publish
from tests.support.stack import Stack

DELIVERIES = 10
"""maxDeliveryCount of the subscriptions."""
DEAD_WITHIN = 120.0
"""Seconds for ten deliveries, of which the pauses between them are half a minute."""


def show_items(documents: ContainerProxy, order_id: str, customer_id: str, items: Any) -> None:
    """Make a document show these items, whatever they are; anything but an object can take no event's patch."""
    documents.patch_item(order_id, customer_id, [{"op": "set", "path": "/items", "value": items}])


def dead_letters(stack: Stack, order_id: str) -> list[ServiceBusReceivedMessage]:
    """An order's dead letters of the projection's subscription; they stay where they are."""
    with (
        ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client,
        client.get_subscription_receiver(
            "order-events", "order-views", sub_queue=ServiceBusSubQueue.DEAD_LETTER
        ) as dlq,
    ):
        return [message for message in dlq.peek_messages(1000) if message.session_id == order_id]


def test_a_poisonous_event_is_dead_lettered_while_others_go_on_and_its_order_heals_by_the_next_or_by_replay(
    stack: Stack, api: Api
) -> None:
    product, other_product = api.products(2, "1.10")
    customer = api.customer("Ada")
    order, silent = api.order(customer, product), api.order(customer, product)
    with orders_container(stack) as documents:
        healthy: dict[str, Any] = {id_: documents.read_item(id_, customer)["items"] for id_ in (order, silent)}
        for id_ in healthy:
            show_items(documents, id_, customer, "damaged")
            poison = api.post(f"/orders/{id_}/items", {"productId": other_product, "quantity": 2})
            assert version_of(poison) == 2
        other_customer = api.customer("Eve")
        other = api.order(other_customer, product)
        api.bring(other, "Completed")
        assert api.details(other, other_customer, 4)["status"] == "Completed"
        for id_ in healthy:
            eventually(lambda id_=id_: dead_letters(stack, id_), "the poisonous event is a dead letter", DEAD_WITHIN)

        [letter] = dead_letters(stack, order)
        event = json.loads(b"".join(letter.body))
        assert event["type"] == letter.subject == "OrderItemsAddedV1"
        assert letter.dead_letter_reason == "MaxDeliveryCountExceeded"
        assert str(DELIVERIES) in (letter.dead_letter_error_description or "")
        assert letter.delivery_count == DELIVERIES
        said = [line for line in stack.printed().splitlines() if line.startswith("host")]
        told = [place for place, line in enumerate(said) if f"failed on message {letter.message_id}" in line]
        assert len(told) == DELIVERIES, "a line for each delivery"
        assert ["Traceback" in "".join(said[place + 1 : place + 2]) for place in told] == [True] + [False] * 9
        assert documents.read_item(order, customer)["version"] == 1

        for id_, items in healthy.items():
            show_items(documents, id_, customer, items)
    assert api.post(f"/orders/{order}/submit").status_code == 204
    healed = api.details(order, customer, 3)
    assert healed["status"] == "Submitted"
    assert [(item["productId"], item["quantity"]) for item in healed["items"]] == [(product, 1), (other_product, 2)]
    assert healed["total"] == "3.30"
    summary = api.read(f"/customers/{customer}/summary", after=f"{order}:3")
    assert summary["totalSpent"] == [{"currency": "EUR", "amount": "3.30"}]

    # nothing more happens to the other one: an operator gives it its event again
    replay(stack, api, silent)
    assert api.details(silent, customer, 2)["total"] == "3.30"

    # the one that is healed gets its event again as well, which changes nothing
    summary = api.read(f"/customers/{customer}/summary", after=f"{order}:3")
    replay(stack, api, order)
    with orders_container(stack) as documents:
        assert len(documents.read_item(order, customer)["projected"]) == 3
    assert api.details(order, customer, 3) == healed
    assert api.read(f"/customers/{customer}/summary", after=f"{order}:3") == summary


def replay(stack: Stack, api: Api, order_id: str) -> None:
    """Replay an order's only dead letter, which is handled before this returns."""
    [letter] = dead_letters(stack, order_id)
    request = {"subscription": "order-events/order-views", "messages": [letter.message_id]}
    answer = api.post("/ops/dead-letters/replay", request)
    assert [item["result"] for item in answer.json()["items"]] == ["replayed"], answer.text
    assert dead_letters(stack, order_id) == []


def test_an_event_that_does_not_fit_its_schema_leaves_nothing_personal_behind(stack: Stack, api: Api) -> None:
    order, own = str(uuid4()), ["Ada Noether", "7 Rue du Secret", "Bordeaux-les-Bains", "QX3 3YZ"]  # in no id or time
    name, street, city, postal_code = own
    address = {"street": street, "city": city, "postalCode": postal_code, "region": None, "country": None}
    payload = {
        "orderId": order,
        "customerId": order,
        "customerName": [name],
        "shippingAddress": address | {"street": [street]},
    }
    envelope = an_envelope("OrderCreatedV1", UUID(order), payload=json.dumps(payload))
    publish(stack, "ordering", envelope)
    eventually(lambda: dead_letters(stack, order), "it is a dead letter", DEAD_WITHIN)

    request = {"subscription": "order-events/order-views", "messages": [str(envelope.event_id)]}
    replayed = api.post("/ops/dead-letters/replay", request)
    assert [item["result"] for item in replayed.json()["items"]] == ["failed"]
    assert "shippingAddress.street" in replayed.text
    thrown = api.post("/ops/dead-letters/discard", request | {"why": "it does not fit"})
    assert [item["result"] for item in thrown.json()["items"]] == ["discarded"]

    audit = api.get("/ops/audit").text
    assert str(envelope.event_id) in audit
    assert "shippingAddress.street" in stack.printed()
    for place in (replayed.text, thrown.text, audit, stack.printed()):
        assert [word for word in own if word in place] == []
