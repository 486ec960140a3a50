"""Service Bus topics, as the relay needs them."""

import logging
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, override

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSender
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusCommunicationError,
    ServiceBusConnectionError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
)

from shared.messaging.envelope import Envelope
from shared.messaging.relay import Topic, TopicUnreachable
from shared.messaging.wire import CONTENT_TYPE, to_body
from shared.platform import telemetry
from shared.platform.identity import credential
from shared.platform.settings import Settings
from shared.platform.tls import trusted

logging.getLogger("azure.servicebus").setLevel(logging.ERROR)  # its retries are ours to report

PATIENCE = 8.0
"""Seconds that Service Bus has for one try; a broker that takes bytes and never answers would hold a sender for ever.
Two tries end within the relay's claim."""

UNREACHABLE = (
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusCommunicationError,
    ServiceBusConnectionError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
    OSError,
)


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
            if len(messages) == 1:  # as most are; a batch of one is encoded twice
                sender.send_messages(messages[0])
            else:
                _send_in_batches(sender, messages)
        except UNREACHABLE as error:
            sender.close()
            raise TopicUnreachable(f"topic {self._topic}: {error}") from error
        except BaseException:
            sender.close()
            raise
        self._idle.put(sender)

    def _sender(self) -> ServiceBusSender:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._client.get_topic_sender(self._topic)


def _send_in_batches(sender: ServiceBusSender, messages: Sequence[ServiceBusMessage]) -> None:
    batch = sender.create_message_batch()
    for message in messages:
        try:
            batch.add_message(message)
        except ValueError:  # the batch is full
            sender.send_messages(batch)
            batch = sender.create_message_batch()
            batch.add_message(message)
    sender.send_messages(batch)


def to_message(envelope: Envelope, source: str, traceparent: str | None = None) -> ServiceBusMessage:
    """Wrap an envelope: the message id is the event's (duplicate detection), the session the aggregate's (order).

    What subscription rules filter on stands in the application properties too, and the trace context of the sending;
    that of the command is in the body.
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
            **({"traceparent": traceparent} if traceparent else {}),
        },
    )


def _client(settings: Settings) -> ServiceBusClient:
    # one retry, soon: the relay comes again anyway
    options: dict[str, Any] = {
        "try_timeout": PATIENCE,
        "retry_total": 1,
        "retry_backoff_factor": 0.2,
        "ssl_context": trusted(),
    }
    if "=" in settings.service_bus:
        return ServiceBusClient.from_connection_string(settings.service_bus, **options)
    return ServiceBusClient(settings.service_bus, credential(settings.command_client_id), **options)
