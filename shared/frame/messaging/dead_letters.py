"""Dead-letter queues of subscriptions: peeking changes nothing, and a replay locks the letters that it deals with.

Also tells since when the oldest message of a subscription itself waits.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from azure.servicebus import ServiceBusMessageState, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.amqp import AmqpMessageBodyType
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusError,
)

from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.subscriptions import SubscriptionClosed
from shared.frame.messaging.topics import is_unreachable
from shared.frame.messaging.wire import from_body
from shared.frame.platform.identity import async_credential
from shared.frame.platform.settings import Settings
from shared.frame.platform.tls import trusted
from shared.kernel.refusals import Unavailable

logger = logging.getLogger(__name__)

PAGE = 250
"""Messages asked for at a time; Service Bus gives as many of them as fit into a megabyte."""

TIMEOUT = 10.0
"""Seconds until Service Bus counts as away."""

TEXT = 1_000
"""Characters that are kept of a message that is no event."""

FEW = 10
"""Messages of a subscription that are looked at for the oldest that waits: whoever has scheduled some may have theirs
first."""

NEXT_COMES_WITHIN = 5.0
"""Seconds without a message after which a search ends: Service Bus gives messages that are not locked at once."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that its subscription gave up on.

    Attributes:
        sequence_number: its number, unique in its dead-letter queue, older ones first.
        message_id: the event's id, if it is one of ours.
        reason: why it is here, such as `MaxDeliveryCountExceeded`; None if its consumer gave no reason.
        description: the reason in more words.
        deliveries: how often it was delivered, to replays as well that locked it on the way to a younger one.
        enqueued_at: when Service Bus got it.
        envelope: the event in it; None if it is none of this system.
        text: where there is no event, how the message begins.
    """

    sequence_number: int
    message_id: str | None
    reason: str | None
    description: str | None
    deliveries: int
    enqueued_at: datetime
    envelope: Envelope | None
    text: str | None


class DeadLetterQueue:
    """The dead letters of one subscription, while the connection is open."""

    def __init__(self, receiver: ServiceBusReceiver) -> None:
        self._receiver = receiver
        self._held: dict[int, ServiceBusReceivedMessage] = {}

    async def look(self, after: int, most: int) -> AsyncIterator[DeadLetter]:
        """Look at dead letters with sequence numbers above `after`, oldest first; this changes nothing.

        They are read a page at a time, and no further than the caller reads.
        """
        while most > 0:
            some = await self._receiver.peek_messages(min(PAGE, most), sequence_number=after + 1, timeout=TIMEOUT)
            for message in some:
                yield _dead_letter(message)
            if not some:
                return
            most -= len(some)
            after = some[-1].sequence_number or 0

    async def hold(self, wanted: Collection[int], most: int, until: float) -> set[int]:
        """Lock dead letters, and tell which of the wanted are locked now.

        Service Bus gives the oldest letters first, so older letters are locked too, and given back when the connection
        is closed. It does not give letters that another replay has locked. The search for those ends when a letter
        comes that is younger than all wanted ones.

        Args:
            wanted: sequence numbers.
            most: how many to lock at most, to get to the wanted ones.
            until: when to give up, on the event loop's clock.
        """
        clock = asyncio.get_running_loop().time
        last = max(wanted, default=0)
        while not self._held.keys() >= set(wanted) and len(self._held) < most and clock() < until:
            some = await self._receiver.receive_messages(
                max_message_count=min(PAGE, most - len(self._held)), max_wait_time=NEXT_COMES_WITHIN
            )
            if not some:
                break
            self._held |= {message.sequence_number or 0: message for message in some}
            if max(self._held) > last:
                break
        return self._held.keys() & set(wanted)

    async def complete(self, sequence_number: int) -> None:
        """Remove a locked dead letter for good.

        Raises:
            ServiceBusError: it may still be there; its lock may have run out.
        """
        await self._receiver.complete_message(self._held[sequence_number])
        del self._held[sequence_number]

    async def give_back(self) -> None:
        """Unlock the letters that are still locked; if that fails, their locks run out by themselves."""
        for message in self._held.values():
            try:
                await self._receiver.abandon_message(message)
            except MessageLockLostError:
                continue
            except ServiceBusError as error:
                logger.warning("dead letters stay locked until their time is up: %s", error)
                return


class DeadLetters:
    """The dead-letter queues of all subscriptions; connects when one is opened, from the event loop that opens it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @asynccontextmanager
    async def of(self, topic: str, subscription: str) -> AsyncIterator[DeadLetterQueue]:
        """Open a subscription's dead-letter queue.

        Raises:
            SubscriptionClosed: it is not there, or not for this app (503).
            Unavailable: Service Bus does not answer (503).
        """
        async with self._receiver(topic, subscription, ServiceBusSubQueue.DEAD_LETTER) as receiver:
            queue = DeadLetterQueue(receiver)
            try:
                yield queue
            finally:
                await queue.give_back()

    async def waiting_since(self, topic: str, subscription: str) -> datetime | None:
        """Tell since when the oldest message of a subscription waits to be taken in, which may be happening now.

        None: no message waits. Peeking takes none from its consumer, and changes nothing.

        Raises:
            SubscriptionClosed: it is not there, or not for this app (503).
            Unavailable: Service Bus does not answer (503).
        """
        async with self._receiver(topic, subscription) as receiver:
            some = await receiver.peek_messages(FEW, timeout=TIMEOUT)
        waiting = (each for each in some if each.state is not ServiceBusMessageState.SCHEDULED)
        return next((message.enqueued_time_utc for message in waiting), None)

    @asynccontextmanager
    async def _receiver(
        self, topic: str, subscription: str, sub_queue: ServiceBusSubQueue | None = None
    ) -> AsyncIterator[ServiceBusReceiver]:
        try:
            async with self._client.get_subscription_receiver(topic, subscription, sub_queue=sub_queue) as receiver:
                yield receiver
        except Exception as error:
            if why := closed_because(error):
                raise SubscriptionClosed(topic, subscription, why) from error
            if not is_unreachable(error):
                raise
            logger.warning("Service Bus does not answer: %s", error)
            raise Unavailable("service-bus-unavailable", "Service Bus does not answer at the moment.") from error

    async def close(self) -> None:
        """Close the client. Only tests do; a function app keeps it until its process ends."""
        await self._client.close()

    @cached_property
    def _client(self) -> ServiceBusClient:
        target = self._settings.service_bus
        options: dict[str, Any] = {"try_timeout": TIMEOUT, "retry_total": 0, "ssl_context": trusted()}
        if "=" in target:
            return ServiceBusClient.from_connection_string(target, **options)
        return ServiceBusClient(target, async_credential(self._settings.view_client_id), **options)


def closed_because(error: Exception) -> str | None:
    """Tell why Service Bus lets nobody of this app read a subscription; None: the error is not of the subscription."""
    match error:
        case MessagingEntityNotFoundError():
            return "it does not exist"
        case MessagingEntityDisabledError():
            return "it is disabled"
        case ServiceBusAuthorizationError():
            return "it is forbidden"
        case ServiceBusAuthenticationError(inner_exception=refusal) if status := getattr(refusal, "status_code", None):
            return f"the token is refused with status {status}"  # a connection that breaks off has none
    return None


def _dead_letter(message: ServiceBusReceivedMessage) -> DeadLetter:
    body = b"".join(message.body) if message.body_type is AmqpMessageBodyType.DATA else str(message.body).encode()
    envelope = _envelope(body)
    return DeadLetter(
        sequence_number=message.sequence_number or 0,
        message_id=None if message.message_id is None else str(message.message_id),  # AMQP has numbers as well
        reason=message.dead_letter_reason,
        description=message.dead_letter_error_description,
        deliveries=message.delivery_count or 0,
        enqueued_at=message.enqueued_time_utc or datetime.now(UTC),
        envelope=envelope,
        text=None if envelope else body.decode(errors="replace")[:TEXT],
    )


def _envelope(body: bytes) -> Envelope | None:
    try:
        return from_body(body)
    except (ValueError, RecursionError):  # no event; RecursionError: JSON that is nested too deeply
        return None
