"""Every subscription gets its own copy of what its rules let in."""

from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient

from tests.conformance.servicebus.messages import nothing_comes, receive, receive_one, text


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
    expected = {"all": "1234567", "confirmed": "23", "large": "13", "not-ignored": "47"}
    for subscription, wanted in expected.items():
        async with client.get_subscription_receiver("orders", subscription) as receiver:
            received = await receive(receiver, len(wanted))
            for message in received:
                await receiver.complete_message(message)
            assert "".join(text(message) for message in received) == wanted, subscription
            assert await nothing_comes(receiver)


async def test_dead_letters_of_a_subscription_are_peeked_and_given_back_without_end(
    client: ServiceBusClient, unique: str
) -> None:
    message = ServiceBusMessage("poison", message_id=unique, subject="OrderConfirmed")
    async with client.get_topic_sender("orders") as sender:
        await sender.send_messages(message)
    for subscription in ("all", "confirmed"):
        async with client.get_subscription_receiver("orders", subscription) as receiver:
            if subscription == "all":
                await receiver.complete_message(await receive_one(receiver))
            else:
                await receiver.dead_letter_message(await receive_one(receiver), reason="poison")
    async with client.get_subscription_receiver(
        "orders", "confirmed", sub_queue=ServiceBusSubQueue.DEAD_LETTER
    ) as dead_letters:
        [peeked] = await dead_letters.peek_messages(10)
        assert (peeked.message_id, peeked.dead_letter_reason) == (unique, "poison")
        counts = []
        for _ in range(12):  # more often than any subscription delivers
            held = await receive_one(dead_letters)
            assert held.sequence_number == peeked.sequence_number
            counts.append(held.delivery_count or 0)
            await dead_letters.abandon_message(held)
        assert counts == list(range(counts[0], counts[0] + 12))
        await dead_letters.complete_message(await receive_one(dead_letters))
        assert await dead_letters.peek_messages(10, sequence_number=1) == []
