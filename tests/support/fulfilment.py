"""What the fulfilment of an order asks of payments, sent as ordering sends it."""

from datetime import UTC, datetime
from typing import get_args
from uuid import uuid4

from azure.servicebus import ServiceBusClient

from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import to_message
from shared.ordering.events import FulfilmentEvent, OrderErasedV1, fulfilment_of
from tests.support.stack import Stack

CODEC = EventCodec[FulfilmentEvent | OrderErasedV1]((*get_args(FulfilmentEvent.__value__), OrderErasedV1))


def envelope_of(event: FulfilmentEvent | OrderErasedV1) -> Envelope:
    """An event in an envelope of its own."""
    return Envelope(
        event_id=uuid4(),
        aggregate_id=event.order_id if isinstance(event, OrderErasedV1) else fulfilment_of(event.order_id),
        version=1,
        type=type(event).__name__,
        payload=CODEC.encode(event).decode(),
        occurred_at=datetime.now(UTC),
        command_id="c",
        correlation_id="conversation",
        causation_id="c",
        traceparent=None,
        actor="somebody",
    )


def ask(stack: Stack, *events: FulfilmentEvent) -> None:
    """Send requests to the topic of ordering's events."""
    with (
        ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client,
        client.get_topic_sender("order-events") as sender,
    ):
        sender.send_messages([to_message(envelope_of(event), "ordering") for event in events])
