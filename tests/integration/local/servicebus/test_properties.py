"""What the broker adds to a message, and what it does not take."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusReceiveMode
from azure.servicebus.exceptions import ServiceBusError
from proton import Message

from tests.integration.local.servicebus.topology import config, queue, topic
from tests.support.servicebus import running_servicebus

TIMEOUT = 20.0  # seconds

CONFIG = config(
    queue("plain"),
    queue("short", DefaultMessageTimeToLive="PT1M"),
    queue("dead", MaxDeliveryCount=1),
    topics=(topic("events", {"Name": "all"}),),
)


@pytest.fixture(scope="module")
def client() -> Iterator[ServiceBusClient]:
    with (
        running_servicebus(CONFIG) as connection_string,
        ServiceBusClient.from_connection_string(connection_string, retry_total=0) as opened,
    ):
        yield opened


def through(client: ServiceBusClient, name: str, *messages: ServiceBusMessage) -> list[ServiceBusReceivedMessage]:
    """Send messages to a queue and take as many out of it."""
    with client.get_queue_sender(name) as sender:
        for message in messages:
            sender.send_messages(message)
    received: list[ServiceBusReceivedMessage] = []
    with client.get_queue_receiver(name, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        while len(received) < len(messages):
            batch = receiver.receive_messages(len(messages), max_wait_time=TIMEOUT)
            assert batch, f"{len(received)} of {len(messages)} messages came"
            received += batch
    return received


def test_a_message_whose_body_is_an_encoded_message_stays_one(client: ServiceBusClient) -> None:
    inner = bytes(Message(body=b"inner", id="inner").encode())
    (message,) = through(client, "plain", ServiceBusMessage(inner, message_id="outer"))
    assert message.message_id == "outer"
    assert b"".join(message.body) == inner


def test_the_shorter_of_two_lives_shows(client: ServiceBusClient) -> None:
    lives = [None, timedelta(hours=1), timedelta(seconds=30)]
    received = through(client, "short", *(ServiceBusMessage("x", time_to_live=life) for life in lives))
    expected = [timedelta(minutes=1), timedelta(minutes=1), timedelta(seconds=30)]
    assert [message.time_to_live for message in received] == expected
    for message, life in zip(received, expected, strict=True):
        assert message.expires_at_utc is not None
        assert message.enqueued_time_utc is not None
        assert abs(message.expires_at_utc - message.enqueued_time_utc - life) < timedelta(seconds=1)


def test_a_topic_numbers_what_comes_through_it(client: ServiceBusClient) -> None:
    with client.get_topic_sender("events") as sender:
        sender.send_messages([ServiceBusMessage("0"), ServiceBusMessage("1")])
    with client.get_subscription_receiver("events", "all") as receiver:
        numbers: list[int | None] = []
        while len(numbers) < 2:
            for message in receiver.receive_messages(2, max_wait_time=TIMEOUT):
                numbers.append(message.enqueued_sequence_number)
                receiver.complete_message(message)
    first, second = numbers
    assert first is not None
    assert second == first + 1


def test_a_dead_letter_that_was_not_forwarded_names_no_source(client: ServiceBusClient) -> None:
    with client.get_queue_sender("dead") as sender, client.get_queue_receiver("dead") as receiver:
        sender.send_messages(ServiceBusMessage("x"))
        receiver.abandon_message(receiver.receive_messages(1, max_wait_time=TIMEOUT)[0])
    with client.get_queue_receiver("dead", sub_queue="deadletter") as receiver:
        (message,) = receiver.receive_messages(1, max_wait_time=TIMEOUT)
        receiver.complete_message(message)
    assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert message.dead_letter_source is None


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"one": "x" * 32_768}, "32768 are allowed"),
        ({f"p{number}": "x" * 1000 for number in range(66)}, "65536 are allowed"),
    ],
    ids=["one property", "all together"],
)
def test_properties_longer_than_the_service_takes_are_refused(
    client: ServiceBusClient, properties: dict[str | bytes, Any], told: str
) -> None:
    with client.get_queue_sender("plain") as sender, pytest.raises(ServiceBusError, match=told):
        sender.send_messages(ServiceBusMessage("x", application_properties=properties))
    (message,) = through(client, "plain", ServiceBusMessage("x", application_properties={"one": "x" * 32_000}))
    assert message.application_properties


@pytest.mark.parametrize("field", ["reason", "error_description"])
def test_a_reason_longer_than_the_service_takes_is_refused_and_the_message_stays(
    client: ServiceBusClient, field: str
) -> None:
    with client.get_queue_sender("plain") as sender, client.get_queue_receiver("plain") as receiver:
        sender.send_messages(ServiceBusMessage("x"))
        (message,) = receiver.receive_messages(1, max_wait_time=TIMEOUT)
        with pytest.raises(ServiceBusError, match="4096 are allowed"):
            receiver.dead_letter_message(message, **{field: "x" * 4097})
        assert [str(peeked) for peeked in receiver.peek_messages(5, sequence_number=message.sequence_number or 0)] == [
            "x"
        ]
    with client.get_queue_receiver("plain", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        receiver.receive_messages(1, max_wait_time=0.2)
