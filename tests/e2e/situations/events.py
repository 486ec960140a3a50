"""Events that are not published, not applied or given up."""

from typing import Any
from uuid import uuid4

from azure.servicebus import ServiceBusClient, ServiceBusMessage

from tests.e2e.api import Api, eventually
from tests.e2e.documents import damage
from tests.e2e.situations.on_call import Operator, differing
from tests.e2e.test_poison import DEAD_WITHIN

JUNK_IS_FOR = ("fulfil_orders", "follow_orders", "follow_fulfilment")
"""Who gets what no rule knows, beside the read model."""


def dead_letters(operator: Operator) -> None:
    api, stack = operator.api, operator.stack
    customer_id, product_id = api.customer(), api.product()
    order_id = api.order(customer_id, product_id)
    damage(stack, order_id, customer_id, items="damaged")
    assert api.post(f"/orders/{order_id}/items", {"productId": product_id, "quantity": 2}).status_code == 204
    with (
        ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client,
        client.get_topic_sender("order-events") as sender,
    ):
        sender.send_messages(ServiceBusMessage("junk", session_id=str(uuid4())))
    eventually(lambda: given_up(api, "project_order") == 2, "both are given up", DEAD_WITHIN)
    for follower in JUNK_IS_FOR:
        eventually(lambda name=follower: given_up(api, name) == 1, f"{follower} gives the junk up too", DEAD_WITHIN)

    everything, one, _ = operator.next()
    [views] = one["subscriptions"]
    assert [(each["consumer"], each["count"]) for each in everything["subscriptions"] if each["count"]] == [
        ("project_order", 2),
        *((follower, 1) for follower in JUNK_IS_FOR),
    ]
    assert views["reasons"] == [{"reason": "MaxDeliveryCountExceeded", "count": 2}]
    event = next(item["event"] for item in views["items"] if item["event"])
    junk = next(item["sequenceNumber"] for item in views["items"] if not item["event"])
    assert event["aggregateId"] == order_id

    history, checked, healed = operator.next(ORDER_ID=order_id, CUSTOMER_ID=customer_id)
    assert history["customerId"] == customer_id
    assert differing(checked)[order_id] == "items"
    assert differing(healed) == {}
    dry, wet = operator.next()
    assert {item["result"] for item in dry["items"]} == {"chosen"}
    assert sorted(item["result"] for item in wet["items"]) == ["replayed", "unreadable"]
    [discarded] = operator.next(SEQUENCE_NUMBER=str(junk))
    assert [item["result"] for item in discarded["items"]] == ["discarded"]
    for follower in JUNK_IS_FOR:
        there = {"subscription": follower, "messages": sequence_numbers(api, follower), "why": "junk"}
        assert api.post("/ops/dead-letters/discard", there).status_code == 200
    [left] = operator.next()
    assert {(each["count"], each["unanswered"], each["closed"]) for each in left["subscriptions"]} == {(0, False, None)}
    assert api.details(order_id, customer_id, 2)["items"][0]["quantity"] == 3


def given_up(api: Api, consumer: str) -> int:
    [subscription] = api.dead_letters(consumer)
    count: int = subscription["count"]
    return count


def sequence_numbers(api: Api, consumer: str) -> list[int]:
    [subscription] = api.dead_letters(consumer)
    return [item["sequenceNumber"] for item in subscription["items"]]


def projected_order(api: Api) -> str:
    """An order that is shown, so that it is behind by what comes after it alone."""
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    assert api.details(order_id, customer_id, 1)["version"] == 1
    return order_id


def projection_lag(operator: Operator) -> None:
    api = operator.api
    order_id = projected_order(api)
    with operator.stack.stopped("servicebus"):
        assert api.post(f"/orders/{order_id}/submit").status_code == 204
        [views] = operator.next()
        orders, products, _ = (view["lag"] for view in views["items"])
        assert (orders["unapplied"], products["unapplied"]) == (1, 0)
        assert orders["oldestAge"] > 0
        # what the stopped engine took is sent again, if need be
        api.http.post("../admin/functions/relay_events", json={})
    operator.until(lambda answers: [view["lag"]["unapplied"] for view in answers[0]["items"]] == [0, 0, 0])


def unpublished_events(operator: Operator) -> None:
    api = operator.api
    order_id = projected_order(api)
    with operator.stack.stopped("servicebus"):
        assert api.post(f"/orders/{order_id}/submit").status_code == 204
        orders, history = operator.next(ORDER_ID=order_id)
        assert orders["lag"]["unapplied"] == 1
        assert history["events"][-1]["publishedAt"] is None
    assert operator.next() == []
    operator.until(
        lambda answers: answers[0]["events"][-1]["publishedAt"] and not answers[1]["lag"]["unapplied"],
        ORDER_ID=order_id,
    )


def silent_timers(operator: Operator) -> None:
    api, stack = operator.api, operator.stack
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    with stack.stopped("servicebus"):
        assert api.post(f"/orders/{order_id}/submit").status_code == 204
        stack.kill("host")  # it dies before it has published the event, and in this stack no relay runs by itself
    stack.wait_ready()
    history = api.read(f"/orders/{order_id}/history")
    assert history["events"][-1]["publishedAt"] is None
    ready, views = operator.next()
    assert ready == {"status": "ready", "wrong": []}
    before = checked_at(views)
    assert operator.next() == operator.next() == []

    def is_over(answers: list[Any]) -> bool:
        [found] = answers
        assert len(found["items"]) == len(before)
        looked_at = all(map(str.__gt__, checked_at(found), before))
        return looked_at and not any(view["lag"]["unapplied"] for view in found["items"])

    operator.until(is_over)
    assert api.details(order_id, customer_id, 2)["status"] == "Submitted"


def checked_at(views: dict[str, Any]) -> list[str]:
    """When each view was last compared with the log; empty: not yet."""
    return [(view["drift"] or {"checkedAt": ""})["checkedAt"] for view in views["items"]]
