"""Batches, sizes, duplicates and schedules."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from tests.conformance.servicebus.messages import nothing_comes, receive, receive_one, send, text

LARGEST = 256 * 1024


async def test_a_batch_arrives_whole_and_in_order(client: ServiceBusClient) -> None:
    async with client.get_queue_sender("plain") as sender:
        batch = await sender.create_message_batch()
        for number in range(20):
            batch.add_message(ServiceBusMessage(str(number)))
        await sender.send_messages(batch)
    async with client.get_queue_receiver("plain") as receiver:
        received = await receive(receiver, 20)
        for message in received:
            await receiver.complete_message(message)
    assert [text(message) for message in received] == [str(number) for number in range(20)]


async def test_a_batch_with_one_message_that_is_refused_leaves_no_message(
    client: ServiceBusClient, unique: str
) -> None:
    async with client.get_queue_sender("ordered") as sender:
        good, bad = ServiceBusMessage("good", session_id=unique), ServiceBusMessage("without a session")
        with pytest.raises(ServiceBusError):
            await sender.send_messages([good, bad])
    async with client.get_queue_receiver("ordered", session_id=unique) as receiver:
        assert await receiver.peek_messages(1) == []


async def test_a_batch_can_be_filled_up_to_256_kb(client: ServiceBusClient) -> None:
    async with client.get_queue_sender("plain") as sender:
        batch = await sender.create_message_batch()
        for _ in range(26):
            batch.add_message(ServiceBusMessage(bytes(10_000)))
        with pytest.raises(MessageSizeExceededError):
            batch.add_message(ServiceBusMessage(bytes(10_000)))
        assert batch.max_size_in_bytes == LARGEST
        await sender.send_messages(batch)
    async with client.get_queue_receiver("plain") as receiver:
        for message in await receive(receiver, 26):
            await receiver.complete_message(message)


async def test_a_message_of_more_than_256_kb_is_refused(client: ServiceBusClient) -> None:
    async with client.get_queue_sender("plain") as sender:
        with pytest.raises(MessageSizeExceededError):
            await sender.send_messages(ServiceBusMessage(bytes(LARGEST + 1)))
    await send(client, "plain", ServiceBusMessage("small"))
    async with client.get_queue_receiver("plain") as receiver:
        message = await receive_one(receiver)
        await receiver.complete_message(message)
        assert text(message) == "small"


async def test_a_message_id_is_accepted_once(client: ServiceBusClient, unique: str) -> None:
    async with client.get_queue_sender("unique") as sender:
        await sender.send_messages(ServiceBusMessage("first", message_id=unique))
        await sender.send_messages(ServiceBusMessage("again", message_id=unique))
        await sender.send_messages([ServiceBusMessage("batched", message_id=unique), ServiceBusMessage("other")])
        later = datetime.now(UTC) + timedelta(seconds=1)
        await sender.schedule_messages(ServiceBusMessage("scheduled", message_id=unique), later)
        await sender.schedule_messages(ServiceBusMessage("last"), later)
    async with client.get_queue_receiver("unique") as receiver:
        received = await receive(receiver, 3)
        for message in received:
            await receiver.complete_message(message)
        assert await nothing_comes(receiver)
    assert [text(message) for message in received] == ["first", "other", "last"]


async def test_a_scheduled_message_counts_as_a_duplicate_before_it_is_due(
    client: ServiceBusClient, unique: str
) -> None:
    async with client.get_queue_sender("unique") as sender:
        later = datetime.now(UTC) + timedelta(seconds=2)
        await sender.schedule_messages(ServiceBusMessage("scheduled", message_id=unique), later)
        await sender.send_messages(ServiceBusMessage("sent", message_id=unique))
    async with client.get_queue_receiver("unique") as receiver:
        message = await receive_one(receiver)
        await receiver.complete_message(message)
        assert await nothing_comes(receiver)
    assert text(message) == "scheduled"


async def test_a_scheduled_message_comes_when_it_is_due_and_not_before(client: ServiceBusClient) -> None:
    due = datetime.now(UTC) + timedelta(seconds=3)
    async with client.get_queue_sender("plain") as sender:
        await sender.schedule_messages(ServiceBusMessage("by operation"), due)
        await sender.send_messages(ServiceBusMessage("by property", scheduled_enqueue_time_utc=due))
    async with client.get_queue_receiver("plain") as receiver:
        received = []
        for _ in range(2):
            received.append(await receive_one(receiver))
            assert datetime.now(UTC) > due - timedelta(seconds=1), "it came before it was due"
            await receiver.complete_message(received[-1])
    assert {text(message) for message in received} == {"by operation", "by property"}
    for message in received:
        assert message.enqueued_time_utc is not None
        assert timedelta(seconds=-1) < message.enqueued_time_utc - due < timedelta(seconds=5)


async def test_a_scheduled_message_can_be_cancelled(client: ServiceBusClient) -> None:
    async with client.get_queue_sender("plain") as sender:
        later = datetime.now(UTC) + timedelta(hours=1)
        never, ever = await sender.schedule_messages([ServiceBusMessage("never"), ServiceBusMessage("ever")], later)
        await sender.cancel_scheduled_messages(never)
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(never)
        async with client.get_queue_receiver("plain") as receiver:
            scheduled = await receiver.peek_messages(10, sequence_number=min(never, ever))
        await sender.cancel_scheduled_messages(ever)
    assert [text(message) for message in scheduled] == ["ever"]


async def test_an_unknown_entity_is_not_found(client: ServiceBusClient) -> None:
    with pytest.raises(MessagingEntityNotFoundError, match="no-such-queue"):
        await send(client, "no-such-queue", ServiceBusMessage("lost"))
    with pytest.raises(MessagingEntityNotFoundError, match="no-such-subscription"):
        async with client.get_subscription_receiver("orders", "no-such-subscription"):
            pass
