"""Another system's view of the running one: the contract that it is given, and the messages that it gets."""

import json
from uuid import uuid4

from azure.servicebus import ServiceBusClient

from tests.e2e.api import Api
from tests.support.described import unlike_the_description
from tests.support.stack import Stack


def test_an_order_reaches_billing_and_shipping_as_the_contract_says(stack: Stack, api: Api) -> None:
    described = api.get("/asyncapi.json").json()
    channel = described["channels"]["order-events"]
    customer = api.customer()
    order = api.order(customer, api.product("24.90"), quantity=2)
    api.bring(order, "Confirmed")
    assert api.post(f"/orders/{order}/cancel", {"reason": "The cat sat on it"}).status_code == 204
    told = {"orderId": order, "customerId": customer, "currency": "EUR", "total": "49.80"}
    for name in ("billing", "shipping"):
        [promised] = [each for each in channel["x-subscriptions"] if each["name"] == name]
        assert (promised["sessions"], promised["events"]) == (True, ["OrderConfirmedV1", "OrderCancelledV1"])
        with (
            ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client,
            client.get_subscription_receiver(channel["address"], name, session_id=order) as receiver,
        ):
            for type_, data in (
                ("OrderConfirmedV1", told),
                ("OrderCancelledV1", {**told, "was": "Confirmed", "reason": "withheld"}),
            ):
                [message] = receiver.receive_messages(max_wait_time=30)
                receiver.complete_message(message)
                assert unlike_the_description(described, message) == []
                body = json.loads(b"".join(message.body))
                assert (body["type"], body["subject"]) == (type_, order)
                assert body["data"] == data


def test_a_refund_reaches_billing_as_the_contract_says(stack: Stack, api: Api) -> None:
    described = api.get("/asyncapi.json").json()
    channel = described["channels"]["payment-events"]
    [promised] = [each for each in channel["x-subscriptions"] if each["name"] == "billing"]
    assert (promised["sessions"], promised["events"]) == (True, ["PaymentRefundedV1"])
    order = api.payment("captured", str(uuid4()))
    assert api.post(f"/orders/{order}/refund", {"amount": "9.80", "reason": "One cup was broken"}).status_code == 204
    with (
        ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client,
        client.get_subscription_receiver(channel["address"], "billing", session_id=order) as receiver,
    ):
        [message] = receiver.receive_messages(max_wait_time=30)
        receiver.complete_message(message)
    assert unlike_the_description(described, message) == []
    body = json.loads(b"".join(message.body))
    assert (body["type"], body["subject"]) == ("PaymentRefundedV1", order)
    refund = {"orderId": order, "currency": "EUR", "amount": "9.80", "refunded": "9.80"}
    assert body["data"] == {**refund, "refundId": body["data"]["refundId"]}
