"""What a Service Bus trigger passes to the worker for one message: its body and the trigger metadata.

The keys, and what is left out (TimeToLive, LockedUntil, State, DeadLetterReason), are those of the Service Bus
extension 5.x. One trap of production is kept on purpose: unless the trigger says ``data_type=BINARY``, the host parses
a JSON body for binding expressions, and its top-level properties replace metadata of the same name, ignoring case.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from proton import symbol, timestamp

from infra.local.host import worker

_ENQUEUED_TIME = symbol("x-opt-enqueued-time")
_SEQUENCE_NUMBER = symbol("x-opt-sequence-number")
_DEAD_LETTER_SOURCE = symbol("x-opt-deadletter-source")
_PARTITION_KEY = symbol("x-opt-partition-key")
_LOCKED_UNTIL = symbol("x-opt-locked-until")
_NEVER = "9999-12-31T23:59:59.9999999Z"
"""DateTime.MaxValue, the expiry of a message without a time to live."""


class UnreadableBody(Exception):
    """The body is neither data nor a string: .NET's Body property refuses such messages too."""


def trigger_input(message: Any, lock_token: UUID, *, binary: bool) -> tuple[Any, dict[str, Any]]:
    """Return the body and the metadata of a received message as TypedData.

    Args:
        message: The decoded AMQP message.
        lock_token: Its delivery's lock token.
        binary: The trigger's dataType is binary: the body goes over as bytes and is not looked into.

    Raises:
        UnreadableBody: The body is an AMQP sequence, or a value that is not a string or binary.
    """
    body = _body(message)
    metadata = _metadata(message, lock_token)
    if binary:
        return worker.bytes_data(body), _present(metadata)
    text = body.decode("utf-8", "replace")
    return worker.text_data(text), _present(_overwritten(metadata, text))


def trace_context(message: Any) -> tuple[str | None, str]:
    """Return traceparent and tracestate of a message, under the names the SDKs use (Diagnostic-Id is the older one)."""
    properties = message.properties or {}
    parent = properties.get("traceparent") or properties.get("Diagnostic-Id")
    return parent, str(properties.get("tracestate") or "")


def locked_until(message: Any) -> float | None:
    """Return the end of the message's own lock as a Unix time in seconds."""
    moment = (message.annotations or {}).get(_LOCKED_UNTIL)
    return None if moment is None else int(moment) / 1000


def _body(message: Any) -> bytes:
    body = message.body
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise UnreadableBody(f"the body of message {message.id} is {type(body).__name__}, not data or a string")


def _metadata(message: Any, lock_token: UUID) -> dict[str, Any]:
    annotations = message.annotations or {}
    enqueued = datetime.fromtimestamp(int(annotations.get(_ENQUEUED_TIME, 0)) / 1000, UTC)
    properties = worker.protos.TypedData(json=_json(message.properties or {}))
    texts = {
        "DeadLetterSource": annotations.get(_DEAD_LETTER_SOURCE),
        "LockToken": str(lock_token),
        "MessageId": message.id,
        "ContentType": message.content_type,
        "ReplyTo": message.reply_to,
        "To": message.address,
        "Subject": message.subject,
        "Label": message.subject,  # its name before version 5
        "CorrelationId": message.correlation_id,
        "SessionId": message.group_id,
        "ReplyToSessionId": message.reply_to_group_id,
        "PartitionKey": annotations.get(_PARTITION_KEY),
    }
    return {
        **{key: None if value is None else worker.text_data(str(value)) for key, value in texts.items()},
        "DeliveryCount": worker.json_data(
            message.delivery_count + 1
        ),  # AMQP counts failed deliveries, .NET this one too
        "SequenceNumber": worker.json_data(int(annotations.get(_SEQUENCE_NUMBER, 0))),
        "EnqueuedTimeUtc": worker.json_data(_iso(enqueued)),
        "ExpiresAtUtc": worker.json_data(_iso(enqueued + timedelta(seconds=message.ttl)) if message.ttl else _NEVER),
        "ApplicationProperties": properties,
        "UserProperties": properties,  # its name before version 5, by which the worker knows cardinality one
    }


def _present(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if value is not None}


def _overwritten(metadata: dict[str, Any], text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError:
        return metadata
    if not isinstance(fields, dict):
        return metadata
    names = {name.lower(): name for name in metadata}
    for field, value in fields.items():
        name = names.get(field.lower()) or field
        metadata[name] = worker.text_data(value) if isinstance(value, str) else worker.json_data(value)
    return metadata


def _json(properties: Mapping[str, Any]) -> str:
    return json.dumps({str(key): _plain(value) for key, value in properties.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, timestamp):
        return _iso(datetime.fromtimestamp(int(value) / 1000, UTC))
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
