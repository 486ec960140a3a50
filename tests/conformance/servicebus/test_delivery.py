"""A message arrives as it was sent, is locked while it is handled, and is given up in the end."""

import time
from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusClient as SyncClient
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessageLockLostError, MessageNotFoundError

from tests.conformance.servicebus.messages import (
    TIMEOUT,
    body,
    nothing_comes,
    properties,
    receive,
    receive_one,
    send,
    text,
)

LOCK_DURATION = 5.0  # seconds, as config.json has it for the queue `plain`


async def test_a_message_arrives_with_everything_it_was_sent_with(client: ServiceBusClient, unique: str) -> None:
    sent = ServiceBusMessage(
        b"\x00\xff{}",
        message_id=unique,
        correlation_id="correlation",
        subject="OrderCreated",
        content_type="application/json",
        to="there",
        reply_to="here",
        application_properties={"traceparent": "00-ab-cd-01", "version": 7, "replayed": True, "share": 0.25, "ö": "ü"},
    )
    await send(client, "plain", sent)
    async with client.get_queue_receiver("plain") as receiver:
        message = await receive_one(receiver)
        locked_until = message.locked_until_utc
        await receiver.complete_message(message)
    assert body(message) == b"\x00\xff{}"
    assert (message.message_id, message.correlation_id) == (unique, "correlation")
    assert (message.subject, message.content_type) == ("OrderCreated", "application/json")
    assert (message.to, message.reply_to) == ("there", "here")
    assert properties(message) == {
        "traceparent": "00-ab-cd-01",
        "version": 7,
        "replayed": True,
        "share": 0.25,
        "ö": "ü",
    }
    assert message.delivery_count == 0
    assert message.sequence_number
    assert message.enqueued_time_utc is not None
    assert locked_until is not None
    assert locked_until - message.enqueued_time_utc >= timedelta(seconds=LOCK_DURATION - 1)


@pytest.mark.parametrize("payload", [b"", b"\x00Sp\xc0", bytes(200_000)], ids=["empty", "AMQP-like", "large"])
async def test_a_body_arrives_byte_for_byte(client: ServiceBusClient, payload: bytes) -> None:
    await send(client, "plain", ServiceBusMessage(payload))
    async with client.get_queue_receiver("plain", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        assert body(await receive_one(receiver)) == payload


def test_the_synchronous_client_is_served_alike(connection_string: str, unique: str) -> None:
    with SyncClient.from_connection_string(connection_string, retry_total=0) as client:
        with client.get_queue_sender("plain") as sender:
            sender.send_messages([ServiceBusMessage(f"{number}", message_id=unique) for number in range(3)])
        with client.get_queue_receiver("plain") as receiver:
            arrived: list[str] = []
            while len(arrived) < 3:
                for message in receiver.receive_messages(3, max_wait_time=TIMEOUT):
                    arrived.append(str(message))
                    receiver.complete_message(message)
    assert arrived == ["0", "1", "2"]


async def test_a_completed_message_is_gone(client: ServiceBusClient) -> None:
    await send(client, "plain", ServiceBusMessage("once"))
    async with client.get_queue_receiver("plain") as receiver:
        await receiver.complete_message(await receive_one(receiver))
        assert await nothing_comes(receiver)
        assert await receiver.peek_messages(1) == []


async def test_a_message_received_and_deleted_is_gone(client: ServiceBusClient) -> None:
    await send(client, "plain", ServiceBusMessage("once"))
    async with client.get_queue_receiver("plain", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        assert text(await receive_one(receiver)) == "once"
        assert await receiver.peek_messages(1) == []


async def test_an_abandoned_message_comes_first_again_and_is_counted(client: ServiceBusClient) -> None:
    await send(client, "plain", ServiceBusMessage("first"), ServiceBusMessage("second"))
    async with client.get_queue_receiver("plain") as receiver:
        await receiver.abandon_message(await receive_one(receiver))
        first, second = await receive(receiver, 2)
        await receiver.complete_message(first)
        await receiver.complete_message(second)
    assert [(text(first), first.delivery_count), (text(second), second.delivery_count)] == [("first", 1), ("second", 0)]


async def test_a_message_whose_lock_runs_out_comes_again_and_the_late_receiver_is_told(
    client: ServiceBusClient,
) -> None:
    await send(client, "plain", ServiceBusMessage("slow"))
    async with client.get_queue_receiver("plain") as slow, client.get_queue_receiver("plain") as other:
        held = await receive_one(slow)
        again = await receive_one(other)
        assert (text(again), again.delivery_count) == ("slow", 1)
        await other.complete_message(again)
        held._raw_amqp_message.annotations[b"x-opt-locked-until"] += 60_000  # the SDK must ask, not judge by the clock
        with pytest.raises(MessageLockLostError):
            await slow.complete_message(held)


async def test_a_renewed_lock_outlasts_the_lock_duration(client: ServiceBusClient) -> None:
    await send(client, "plain", ServiceBusMessage("long"))
    async with client.get_queue_receiver("plain") as receiver, client.get_queue_receiver("plain") as other:
        message = await receive_one(receiver)
        first_lock = message.locked_until_utc
        assert first_lock is not None
        started = time.monotonic()
        while time.monotonic() < started + LOCK_DURATION + 1:
            assert await receiver.renew_message_lock(message) >= first_lock
            assert not await other.receive_messages(1, max_wait_time=2)
        await receiver.complete_message(message)


async def test_a_message_that_fails_too_often_is_dead_lettered_with_the_reason(
    client: ServiceBusClient, unique: str
) -> None:
    await send(client, "plain", ServiceBusMessage("poison", message_id=unique, application_properties={"own": "kept"}))
    async with client.get_queue_receiver("plain") as receiver:
        for attempt in range(3):
            message = await receive_one(receiver)
            assert message.delivery_count == attempt
            await receiver.abandon_message(message)
        assert await nothing_comes(receiver)
    async with client.get_queue_receiver("plain", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters:
        message = await receive_one(dead_letters)
        await dead_letters.complete_message(message)
    assert (message.message_id, text(message)) == (unique, "poison")
    assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert properties(message)["own"] == "kept"


async def test_a_message_can_be_dead_lettered_with_a_reason_of_ones_own(client: ServiceBusClient) -> None:
    await send(client, "plain", ServiceBusMessage("unreadable"))
    async with client.get_queue_receiver("plain") as receiver:
        message = await receive_one(receiver)
        await receiver.dead_letter_message(message, reason="malformed", error_description="not JSON")
    async with client.get_queue_receiver("plain", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters:
        message = await receive_one(dead_letters)
        await dead_letters.complete_message(message)
    assert (message.dead_letter_reason, message.dead_letter_error_description) == ("malformed", "not JSON")


async def test_peeking_shows_messages_and_leaves_them(client: ServiceBusClient) -> None:
    await send(client, "plain", *(ServiceBusMessage(str(number)) for number in range(3)))
    async with client.get_queue_receiver("plain") as receiver:
        peeked = await receiver.peek_messages(10)
        beyond = await receiver.peek_messages(10, sequence_number=(peeked[0].sequence_number or 0) + 1)
        received = await receive(receiver, 3)
        for message in received:
            await receiver.complete_message(message)
    assert [str(message) for message in peeked] == ["0", "1", "2"]
    assert [str(message) for message in beyond] == ["1", "2"]
    assert [message.delivery_count for message in received] == [0, 0, 0]


async def test_a_deferred_message_comes_only_when_asked_for(client: ServiceBusClient) -> None:
    await send(client, "plain", ServiceBusMessage("later"))
    async with client.get_queue_receiver("plain") as receiver:
        message = await receive_one(receiver)
        number = message.sequence_number
        assert number is not None
        await receiver.defer_message(message)
        assert await nothing_comes(receiver)
        (deferred,) = await receiver.receive_deferred_messages(number)
        assert text(deferred) == "later"
        await receiver.complete_message(deferred)
        with pytest.raises(MessageNotFoundError):
            await receiver.receive_deferred_messages(number)


async def test_an_expired_message_is_dropped(client: ServiceBusClient) -> None:
    await send(client, "plain", ServiceBusMessage("stale", time_to_live=timedelta(seconds=1)))
    async with client.get_queue_receiver("plain") as receiver:
        deadline = time.monotonic() + TIMEOUT
        while await receiver.peek_messages(1, sequence_number=1):
            assert time.monotonic() < deadline
        assert await nothing_comes(receiver)


async def test_an_expired_message_is_dead_lettered_where_the_queue_says_so(client: ServiceBusClient) -> None:
    await send(client, "expiring", ServiceBusMessage("stale", time_to_live=timedelta(seconds=1)))
    async with client.get_queue_receiver("expiring", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters:
        message = await receive_one(dead_letters)
        await dead_letters.complete_message(message)
    assert (text(message), message.dead_letter_reason) == ("stale", "TTLExpiredException")
