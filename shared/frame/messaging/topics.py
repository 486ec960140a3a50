"""Service Bus topics, as the relay needs them."""

import logging
from collections.abc import Sequence
from json import JSONDecodeError
from queue import Empty, SimpleQueue
from typing import Any, override

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusMessageBatch, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusCommunicationError,
    ServiceBusConnectionError,
    ServiceBusError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
)

from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.wire import CONTENT_TYPE, to_body, to_properties
from shared.frame.platform import telemetry
from shared.frame.platform.identity import credential
from shared.frame.platform.settings import Settings
from shared.frame.platform.tls import trusted
from shared.frame.write_side.relay import Topic, TopicUnreachable

logging.getLogger("azure.servicebus").setLevel(logging.ERROR)  # the relay logs failed tries itself

TIMEOUT = 8.0
"""Seconds that Service Bus has for one try; a broker that takes bytes and never answers would hold a sender for ever.
Two tries end within the relay's claim."""

SURELY_FITS = 128 * 1024
"""Bytes of a body that needs no measuring: the smallest limit of a message is 256 KiB, of which all that stands before
the body has 64 at most (https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas)."""

UNREACHABLE = (
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusCommunicationError,
    ServiceBusConnectionError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
    OSError,
)


class EventTooLarge(Exception):
    """Service Bus does not take an event of this size.

    It was not sent. azure-servicebus measures messages in a batch, but not a single message: Service Bus would end the
    link during the send, and the client would take that for a lost connection.
    """


class ServiceBusTopic(Topic):
    """One topic. Threads may send at once: a sender is used by one of them at a time, and then kept for the next."""

    def __init__(self, settings: Settings, topic: str, source: str) -> None:
        self._client = _client(settings)
        self._topic = topic
        self._source = source
        self._idle: SimpleQueue[ServiceBusSender] = SimpleQueue()

    @override
    def send(self, envelopes: Sequence[Envelope]) -> None:
        with telemetry.sending(self._topic, envelopes) as traceparents:
            self._send(
                [
                    to_message(envelope, self._source, traceparent)
                    for envelope, traceparent in zip(envelopes, traceparents, strict=True)
                ]
            )

    def _send(self, messages: Sequence[ServiceBusMessage]) -> None:
        sender = self._sender()
        try:
            if len(messages) == 1 and _surely_fits(messages[0]):  # most do; a batch of one would be encoded twice
                sender.send_messages(messages[0])
            else:
                for batch in _batches(sender, messages):
                    sender.send_messages(batch)
        except BaseException as error:
            sender.close()
            if is_unreachable(error):
                raise TopicUnreachable(f"topic {self._topic}: {error}") from error
            raise
        self._idle.put(sender)

    def _sender(self) -> ServiceBusSender:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._client.get_topic_sender(self._topic)


def is_unreachable(error: BaseException) -> bool:
    """Whether Service Bus cannot be reached, by whatever message: also if nobody gives an access token for it."""
    # what azure-identity raises is within Service Bus's most general error, as is what an event itself may cause
    return isinstance(error, UNREACHABLE) or (
        isinstance(error, ServiceBusError) and isinstance(error.inner_exception, AzureError | JSONDecodeError)
    )


def _surely_fits(message: ServiceBusMessage) -> bool:
    return sum(map(len, message.body)) <= SURELY_FITS


def _batches(sender: ServiceBusSender, messages: Sequence[ServiceBusMessage]) -> list[ServiceBusMessageBatch]:
    """Fill as few batches as these need, in order.

    All batches are made before the first is sent: otherwise every retry would send the events before a refused one
    again.

    Raises:
        EventTooLarge: one fits into no batch.
    """
    batches = [sender.create_message_batch()]
    for message in messages:
        try:
            batches[-1].add_message(message)
        except MessageSizeExceededError:  # the batch is full
            batches.append(sender.create_message_batch())
            try:
                batches[-1].add_message(message)
            except MessageSizeExceededError:
                raise EventTooLarge(
                    f"{message.subject} {message.message_id} has {sum(map(len, message.body))} bytes; "
                    f"a message has at most {batches[-1].max_size_in_bytes}, its properties included."
                ) from None
    return batches


def to_message(envelope: Envelope, source: str, traceparent: str | None = None) -> ServiceBusMessage:
    """Wrap an envelope: the message id is the event's (duplicate detection), the session the aggregate's.

    The session is for other systems' subscriptions, which want an aggregate's events in order; our own have none
    (ADR 21). The attributes of the CloudEvent stand in the application properties too, for the rules of subscriptions.
    `traceparent` is the trace context of the sending; that of the command is `cloudEvents_traceparent`.
    """
    return ServiceBusMessage(
        to_body(envelope, source),
        message_id=str(envelope.event_id),
        session_id=str(envelope.aggregate_id),
        correlation_id=envelope.correlation_id,
        subject=envelope.type,
        content_type=CONTENT_TYPE,
        application_properties={
            "type": envelope.type,
            "aggregateVersion": envelope.version,
            **to_properties(envelope, source),
            **({"traceparent": traceparent} if traceparent else {}),
        },
    )


def _client(settings: Settings) -> ServiceBusClient:
    # one retry, soon: the relay comes again anyway
    options: dict[str, Any] = {
        "try_timeout": TIMEOUT,
        "retry_total": 1,
        "retry_backoff_factor": 0.2,
        "ssl_context": trusted(),
    }
    if "=" in settings.service_bus:
        return ServiceBusClient.from_connection_string(settings.service_bus, **options)
    return ServiceBusClient(settings.service_bus, credential(settings.command_client_id), **options)
