"""Real faults of a running system, and the marks that they leave."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from azure.servicebus import ServiceBusClient

from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import to_message
from tests.support.stack import Stack

COPY, VIEW = "product-events/ordering", "product-events/product-views"
GIVEN_UP_AFTER = timedelta(seconds=2)


def poison(stack: Stack, count: int = 1) -> list[Envelope]:
    """Publish second events of products that there are not: their consumers fail on them until they are given up.

    They soon expire: ten deliveries would take minutes, for consumers wait for the first event.
    """
    events = [
        Envelope(
            event_id=uuid4(),
            aggregate_id=(product_id := uuid4()),
            version=2,
            type="ProductRenamedV1",
            payload=f'{{"productId": "{product_id}", "name": "Samovar"}}',
            occurred_at=datetime.now(UTC),
            command_id="c",
            correlation_id=f"renaming-{product_id}",
            causation_id="c",
            traceparent=None,
            actor="test",
        )
        for _ in range(count)
    ]
    with (
        ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client,
        client.get_topic_sender("product-events") as sender,
    ):
        messages = [to_message(event, "catalog") for event in events]
        for message in messages:
            message.time_to_live = GIVEN_UP_AFTER
        sender.send_messages(messages)
    return events
