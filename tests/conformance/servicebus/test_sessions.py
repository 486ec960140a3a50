"""Messages of one session are handled one after the other, by one receiver at a time."""

import asyncio
import time

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from tests.conformance.servicebus.messages import TIMEOUT, nothing_comes, receive, receive_one, send, text

LOCK_DURATION = 5.0  # seconds, as config.json has it for the queue `ordered`


def numbered(session: str, count: int) -> list[ServiceBusMessage]:
    return [ServiceBusMessage(str(number), session_id=session) for number in range(count)]


async def test_a_session_is_delivered_in_order_and_alone(client: ServiceBusClient, unique: str) -> None:
    mine, others = numbered(f"{unique}-a", 5), numbered(f"{unique}-b", 5)
    await send(client, "ordered", *(message for pair in zip(mine, others, strict=True) for message in pair))
    for session in (f"{unique}-a", f"{unique}-b"):
        async with client.get_queue_receiver("ordered", session_id=session) as receiver:
            received = await receive(receiver, 5)
            for message in received:
                await receiver.complete_message(message)
            assert [text(message) for message in received] == ["0", "1", "2", "3", "4"]
            assert {message.session_id for message in received} == {session}
            assert await nothing_comes(receiver)


async def test_an_abandoned_message_comes_before_its_successors(client: ServiceBusClient, unique: str) -> None:
    await send(client, "ordered", *numbered(unique, 3))
    seen = []
    async with client.get_queue_receiver("ordered", session_id=unique) as receiver:
        for abandon in (False, True, True, False, False):
            message = await receive_one(receiver)
            seen.append((text(message), message.delivery_count))
            await (receiver.abandon_message(message) if abandon else receiver.complete_message(message))
    assert seen == [("0", 0), ("1", 0), ("1", 1), ("1", 2), ("2", 0)]


async def test_a_session_is_locked_by_one_receiver_at_a_time(client: ServiceBusClient, unique: str) -> None:
    await send(client, "ordered", *numbered(unique, 1))
    async with client.get_queue_receiver("ordered", session_id=unique) as first:
        with pytest.raises(SessionCannotBeLockedError):
            async with client.get_queue_receiver("ordered", session_id=unique):
                pass
        await first.complete_message(await receive_one(first))
    async with client.get_queue_receiver("ordered", session_id=unique) as second:
        assert await nothing_comes(second)


async def test_a_closed_receiver_gives_its_session_back_and_the_delivery_does_not_count(
    client: ServiceBusClient, unique: str
) -> None:
    await send(client, "ordered", *numbered(unique, 2))
    async with client.get_queue_receiver("ordered", session_id=unique) as receiver:
        await receive_one(receiver)
    async with client.get_queue_receiver("ordered", session_id=unique) as receiver:
        received = await receive(receiver, 2)
        for message in received:
            await receiver.complete_message(message)
    assert [(text(message), message.delivery_count) for message in received] == [("0", 0), ("1", 0)]


async def test_a_session_whose_lock_runs_out_is_lost_and_its_message_comes_again(
    client: ServiceBusClient, unique: str
) -> None:
    await send(client, "ordered", *numbered(unique, 2))
    async with client.get_queue_receiver("ordered", session_id=unique) as slow:
        held = await receive_one(slow)
        again = await _received_from_a_session_once_free(client, unique)
        assert (text(again), again.delivery_count) == ("0", 1)
        with pytest.raises(SessionLockLostError):
            await slow.complete_message(held)


async def _received_from_a_session_once_free(client: ServiceBusClient, session: str) -> ServiceBusReceivedMessage:
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            async with client.get_queue_receiver("ordered", session_id=session) as receiver:
                first, second = await receive(receiver, 2)
                await receiver.complete_message(first)
                await receiver.complete_message(second)
                return first
        except SessionCannotBeLockedError:
            assert time.monotonic() < deadline


async def test_a_renewed_session_lock_outlasts_the_lock_duration(client: ServiceBusClient, unique: str) -> None:
    await send(client, "ordered", *numbered(unique, 1))
    async with client.get_queue_receiver("ordered", session_id=unique) as receiver:
        message = await receive_one(receiver)
        started = time.monotonic()
        until = receiver.session.locked_until_utc
        while time.monotonic() < started + LOCK_DURATION + 1:
            renewed = await receiver.session.renew_lock()
            assert until is not None
            assert renewed >= until
            until = renewed
            with pytest.raises(SessionCannotBeLockedError):
                async with client.get_queue_receiver("ordered", session_id=unique):
                    pass
        await receiver.complete_message(message)


async def test_the_next_available_session_is_handed_out_once(client: ServiceBusClient, unique: str) -> None:
    sessions = {f"{unique}-{name}" for name in "ab"}
    for session in sessions:
        await send(client, "next", *numbered(session, 1))
    async with (
        client.get_queue_receiver("next", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=TIMEOUT) as one,
        client.get_queue_receiver("next", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=TIMEOUT) as two,
    ):
        assert {one.session.session_id, two.session.session_id} == sessions
        for receiver in (one, two):
            await receiver.complete_message(await receive_one(receiver))


async def test_a_receiver_waits_until_a_session_shows_up(client: ServiceBusClient, unique: str) -> None:
    async def first_of_the_next_session() -> tuple[str, str]:
        receiver = client.get_queue_receiver("next", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=TIMEOUT)
        async with receiver:
            message = await receive_one(receiver)
            await receiver.complete_message(message)
            return receiver.session.session_id, text(message)

    waiting = asyncio.create_task(first_of_the_next_session())
    done, _ = await asyncio.wait([waiting], timeout=2)
    assert not done
    await send(client, "next", *numbered(unique, 1))
    assert await asyncio.wait_for(waiting, TIMEOUT) == (unique, "0")


async def test_waiting_for_a_session_ends_after_the_time_that_the_receiver_names(client: ServiceBusClient) -> None:
    started = time.monotonic()
    with pytest.raises(OperationTimeoutError):
        async with client.get_queue_receiver("next", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=2):
            pass
    assert 1.5 < time.monotonic() - started < 10


async def test_session_state_is_kept_between_receivers_until_it_is_cleared(
    client: ServiceBusClient, unique: str
) -> None:
    async with client.get_queue_receiver("ordered", session_id=unique) as receiver:
        assert await receiver.session.get_state() is None
        await receiver.session.set_state("version 3")
    async with client.get_queue_receiver("ordered", session_id=unique) as receiver:
        assert await receiver.session.get_state() == b"version 3"
        await receiver.session.set_state(None)
        assert await receiver.session.get_state() is None


async def test_a_deferred_message_of_a_session_comes_when_asked_for(client: ServiceBusClient, unique: str) -> None:
    await send(client, "ordered", *numbered(unique, 2))
    async with client.get_queue_receiver("ordered", session_id=unique) as receiver:
        first = await receive_one(receiver)
        assert first.sequence_number is not None
        await receiver.defer_message(first)
        second = await receive_one(receiver)
        await receiver.complete_message(second)
        (deferred,) = await receiver.receive_deferred_messages(first.sequence_number)
        await receiver.complete_message(deferred)
    assert (text(second), text(deferred)) == ("1", "0")


async def test_dead_letters_of_sessions_are_received_without_a_session(client: ServiceBusClient, unique: str) -> None:
    await send(client, "ordered", *numbered(unique, 1))
    async with client.get_queue_receiver("ordered", session_id=unique) as receiver:
        await receiver.dead_letter_message(await receive_one(receiver), reason="gap")
    async with client.get_queue_receiver("ordered", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters:
        message = await receive_one(dead_letters)
        await dead_letters.complete_message(message)
    assert (message.session_id, message.dead_letter_reason) == (unique, "gap")


async def test_a_receiver_without_a_session_is_refused(client: ServiceBusClient) -> None:
    with pytest.raises(ServiceBusError, match="session"):
        async with client.get_queue_receiver("ordered"):
            pass


async def test_a_receiver_with_a_session_is_refused_where_there_are_none(client: ServiceBusClient) -> None:
    with pytest.raises(ServiceBusError, match="session"):
        async with client.get_queue_receiver("plain", session_id="any"):
            pass


async def test_a_message_without_a_session_is_refused(client: ServiceBusClient) -> None:
    with pytest.raises(ServiceBusError, match="SessionId"):
        await send(client, "ordered", ServiceBusMessage("whose?"))
