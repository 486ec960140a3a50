"""How many messages each subscription gave up on, as telemetry is told."""

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from opentelemetry.sdk.metrics.export import NumberDataPoint

from shared.frame.messaging.dead_letters import DeadLetters
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.subscriptions import Consumer
from shared.frame.operations.dead_letters import count_dead_letters
from shared.frame.platform.settings import Settings
from tests.support.servicebus import running_servicebus
from tests.support.telemetry import observing

TOPIC, SUBSCRIPTIONS = "product-events", ("ordering", "product-views")


async def consume(_: Envelope) -> None:
    """Never asked to."""


async def test_dead_letters_are_counted_by_subscription() -> None:
    with running_servicebus() as connection:
        with ServiceBusClient.from_connection_string(connection) as client:
            with client.get_topic_sender(TOPIC) as sender:
                sender.send_messages([ServiceBusMessage(b"x") for _ in range(3)])
            with client.get_subscription_receiver(TOPIC, "ordering") as receiver:
                for _ in range(2):
                    [message] = receiver.receive_messages(max_message_count=1, max_wait_time=30)
                    receiver.dead_letter_message(message)

        dead_letters = DeadLetters(Settings(sql="", cosmos="", service_bus=connection))
        assert await counted(dead_letters) == {"ordering": 2, "product-views": 0}
        with (
            ServiceBusClient.from_connection_string(connection) as client,
            client.get_subscription_receiver(TOPIC, "ordering", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver,
        ):
            for message in receiver.receive_messages(max_message_count=2, max_wait_time=30):
                receiver.complete_message(message)
        assert await counted(dead_letters) == {"ordering": 0, "product-views": 0}
        await dead_letters.close()


async def counted(dead_letters: DeadLetters) -> dict[object, float]:
    """What telemetry is told, by subscription."""
    with observing() as observed:
        await count_dead_letters(dead_letters, [Consumer(name, TOPIC, name, consume) for name in SUBSCRIPTIONS])
    points = [point for point in observed.points("tandem.dead_letters") if isinstance(point, NumberDataPoint)]
    return {(point.attributes or {})["messaging.destination.subscription.name"]: point.value for point in points}
