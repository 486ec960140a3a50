"""Events sent as their context's outbox sends them."""

from datetime import timedelta

from azure.servicebus import ServiceBusClient

from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import to_message
from tests.support.stack import Stack

TOPICS = {"ordering": "order-events", "catalog": "product-events"}


def publish(stack: Stack, context: str, *envelopes: Envelope, expire_after: timedelta | None = None) -> None:
    """Send events of a context to its topic; they are dead letters if nobody has taken them in by then."""
    messages = [to_message(each, context) for each in envelopes]
    for message in messages:
        message.time_to_live = expire_after
    with (
        ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client,
        client.get_topic_sender(TOPICS[context]) as sender,
    ):
        sender.send_messages(messages)
