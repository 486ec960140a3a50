"""An event that a subscription gave up on is given to it again, through the whole system."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.frame.messaging.envelope import Envelope
from tests.e2e.api import Api, eventually
from tests.support.envelopes import an_envelope
from tests.support.publishing import publish
from tests.support.stack import Stack

COPY, VIEW = "product-events/ordering", "product-events/product-views"


def renamed(product_id: str) -> Envelope:
    """A product's second event, which nobody can take in before the first."""
    return an_envelope("ProductRenamedV1", UUID(product_id), 2, f'{{"productId": "{product_id}", "name": "Samovar"}}')


def dead_letters(api: Api, subscription: str, product_id: str) -> list[dict[str, Any]]:
    [listing] = api.read("/ops/dead-letters", subscription=subscription, take=250)["subscriptions"]
    return [item for item in listing["items"] if item["event"] and item["event"]["aggregateId"] == product_id]


def test_a_dead_letter_is_replayed_into_its_own_subscription_alone(stack: Stack, api: Api) -> None:
    product_id = str(uuid4())
    envelope = renamed(product_id)
    # ten deliveries would take minutes, waiting for the first event
    publish(stack, "catalog", envelope, expire_after=timedelta(seconds=2))
    eventually(
        lambda: dead_letters(api, COPY, product_id) and dead_letters(api, VIEW, product_id),
        "both subscriptions give up",
    )
    body = {"name": "Teapot", "unitPrice": "1.00", "currency": "EUR", "category": "kitchen", "productId": product_id}
    assert api.post("/products", body).status_code == 201
    eventually(lambda: not api.unknown_products([product_id]), "ordering knows the product")
    assert api.read(f"/products/{product_id}", minVersion=1)["name"] == "Teapot"

    request = {"subscription": COPY, "messages": [str(envelope.event_id)]}
    for expected in ("replayed", "absent"):
        answer = api.post("/ops/dead-letters/replay", request)
        assert [item["result"] for item in answer.json()["items"]] == [expected], answer.text

    order_id = api.order(customer_id := api.customer(), product_id)
    assert api.details(order_id, customer_id)["items"][0]["productName"] == "Samovar"
    assert api.read(f"/products/{product_id}")["name"] == "Teapot"
    assert len(dead_letters(api, VIEW, product_id)) == 1

    # the view takes it in as well when it is its turn, so nothing is left behind for other tests
    assert api.post("/ops/dead-letters/replay", request | {"subscription": "project_product"}).is_success
    assert api.read(f"/products/{product_id}", minVersion=2)["name"] == "Samovar"
    [newest, *_] = api.read("/ops/audit", take=1)["items"]
    assert (newest["action"], newest["subject"]) == ("replay-dead-letters", VIEW)
