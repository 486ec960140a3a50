"""Sending and receiving in one line each."""

from typing import Any

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

TIMEOUT = 20.0
"""Seconds to wait for a message that must come."""

GLANCE = 0.5
"""Seconds to wait for a message that must not come."""


async def send(client: ServiceBusClient, queue: str, *messages: ServiceBusMessage) -> None:
    async with client.get_queue_sender(queue) as sender:
        for message in messages:
            await sender.send_messages(message)


async def receive(receiver: ServiceBusReceiver, count: int) -> list[ServiceBusReceivedMessage]:
    """Return exactly so many messages."""
    received: list[ServiceBusReceivedMessage] = []
    while len(received) < count:
        batch = await receiver.receive_messages(count - len(received), max_wait_time=TIMEOUT)
        assert batch, f"{len(received)} of {count} messages came"
        received += batch
    return received


async def receive_one(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    return (await receive(receiver, 1))[0]


async def nothing_comes(receiver: ServiceBusReceiver) -> bool:
    return not await receiver.receive_messages(1, max_wait_time=GLANCE)


def body(message: ServiceBusReceivedMessage) -> bytes:
    return b"".join(message.body)


def text(message: ServiceBusReceivedMessage) -> str:
    return body(message).decode()


def properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """Application properties as they were sent; the SDK hands out bytes for text."""
    plain: dict[str, Any] = {}
    for key, value in (message.application_properties or {}).items():
        name = key.decode() if isinstance(key, bytes) else key
        plain[name] = value.decode() if isinstance(value, bytes) else value
    return plain
