"""Every subscription gets its own copy of what its rules let in."""

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from tests.conformance.servicebus.messages import nothing_comes, receive, text


async def test_subscriptions_get_what_their_rules_let_in(client: ServiceBusClient, unique: str) -> None:
    messages = [
        ServiceBusMessage("1", subject="OrderCreated", application_properties={"quantity": 11, "region": "eu"}),
        ServiceBusMessage("2", subject="OrderConfirmed", application_properties={"quantity": 10, "region": "eu"}),
        ServiceBusMessage("3", subject="OrderConfirmed", application_properties={"quantity": 12, "region": "us"}),
        ServiceBusMessage("4", subject="ReOrderConfirmed", application_properties={"quantity": 99, "region": "eu"}),
        ServiceBusMessage("5", subject="OrderCreated", application_properties={"quantity": 99, "region": "asia"}),
        ServiceBusMessage("6", subject="OrderCreated"),
        ServiceBusMessage("7"),
    ]
    for number, message in enumerate(messages):
        message.message_id = f"{unique}-{number}"
    async with client.get_topic_sender("orders") as sender:
        await sender.send_messages(messages)
        await sender.send_messages(messages[0])  # a duplicate, for every subscription
    expected = {"all": "1234567", "confirmed": "23", "large": "13"}
    for subscription, wanted in expected.items():
        async with client.get_subscription_receiver("orders", subscription) as receiver:
            received = await receive(receiver, len(wanted))
            for message in received:
                await receiver.complete_message(message)
            assert "".join(text(message) for message in received) == wanted, subscription
            assert await nothing_comes(receiver)
