"""Forwarding between entities, and duplicates after their window."""

import time

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import ServiceBusError

from tests.integration.local.servicebus.topology import config, queue, topic
from tests.support.servicebus import running_servicebus

TIMEOUT = 20.0  # seconds

CONFIG = config(
    queue("archive"),
    queue("failures"),
    queue("work", ForwardDeadLetteredMessagesTo="failures", MaxDeliveryCount=1),
    queue("ordered", RequiresSession=True),
    queue("short-memory", RequiresDuplicateDetection=True, DuplicateDetectionHistoryTimeWindow="PT1S"),
    topics=(
        topic(
            "events",
            {"Name": "archived", "Properties": {"ForwardTo": "archive"}},
            {"Name": "ordered", "Properties": {"ForwardTo": "ordered"}},
        ),
    ),
)


def test_messages_and_dead_letters_are_forwarded() -> None:
    with running_servicebus(CONFIG) as connection_string:
        client = ServiceBusClient.from_connection_string(connection_string, retry_total=0)
        with client, client.get_topic_sender("events") as events, client.get_queue_sender("work") as work:
            events.send_messages(ServiceBusMessage("news"))
            work.send_messages(ServiceBusMessage("poison"))
            with client.get_queue_receiver("archive") as receiver:
                (message,) = receiver.receive_messages(1, max_wait_time=TIMEOUT)
                assert str(message) == "news"
            with client.get_queue_receiver("work") as receiver:
                receiver.abandon_message(receiver.receive_messages(1, max_wait_time=TIMEOUT)[0])
            with client.get_queue_receiver("failures") as receiver:
                (message,) = receiver.receive_messages(1, max_wait_time=TIMEOUT)
                assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
                assert message.dead_letter_source == "work"
            with (
                pytest.raises(ServiceBusError, match="forwards"),
                client.get_subscription_receiver("events", "archived"),
            ):
                pass


def test_what_the_target_of_a_forward_refuses_is_in_the_transfer_dead_letters_of_its_source() -> None:
    with running_servicebus(CONFIG) as connection_string:
        client = ServiceBusClient.from_connection_string(connection_string, retry_total=0)
        with client, client.get_topic_sender("events") as events:
            events.send_messages(ServiceBusMessage("without a session"))
            undeliverable = ServiceBusSubQueue.TRANSFER_DEAD_LETTER
            dead = client.get_subscription_receiver("events", "ordered", sub_queue=undeliverable)
            with dead:
                (message,) = dead.receive_messages(1, max_wait_time=TIMEOUT)
                assert str(message) == "without a session"
                assert message.dead_letter_reason == "amqp:not-allowed"
                assert message.dead_letter_source is None


def test_a_message_id_may_be_used_again_after_the_window() -> None:
    with running_servicebus(CONFIG) as connection_string:
        client = ServiceBusClient.from_connection_string(connection_string, retry_total=0)
        with (
            client,
            client.get_queue_sender("short-memory") as sender,
            client.get_queue_receiver("short-memory") as receiver,
        ):
            sent_again = 0
            started = time.monotonic()
            sender.send_messages(ServiceBusMessage("0", message_id="same"))
            receiver.complete_message(receiver.receive_messages(1, max_wait_time=TIMEOUT)[0])
            while not receiver.peek_messages(1):
                assert time.monotonic() < started + TIMEOUT
                sent_again += 1
                sender.send_messages(ServiceBusMessage(str(sent_again), message_id="same"))
            assert time.monotonic() - started >= 1.0
            assert sent_again > 1
