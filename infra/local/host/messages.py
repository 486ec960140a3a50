"""The data that a Service Bus trigger passes to the worker for one message: its body and the trigger metadata.

The keys, and what is left out (TimeToLive, LockedUntil, State, DeadLetterReason), are those of the Service Bus
extension 5.x. One trap of production is kept on purpose: unless the trigger says ``data_type=BINARY``, the host parses
a JSON body for binding expressions, and its top-level properties replace metadata of the same name, ignoring case.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from proton import Described, symbol, timestamp

from infra.local.host import rpc

_ENQUEUED_TIME = symbol("x-opt-enqueued-time")
_SEQUENCE_NUMBER = symbol("x-opt-sequence-number")
_DEAD_LETTER_SOURCE = symbol("x-opt-deadletter-source")
_PARTITION_KEY = symbol("x-opt-partition-key")
_LOCKED_UNTIL = symbol("x-opt-locked-until")
_NEVER = "9999-12-31T23:59:59.9999999"
"""DateTime.MaxValue, the expiry of a message without a time to live."""
_TIMESPAN, _OFFSET = symbol("com.microsoft:timespan"), symbol("com.microsoft:datetime-offset")
_TICKS_AT_EPOCH = 621_355_968_000_000_000
_TICKS_PER_SECOND = 10_000_000
"""A .NET tick is 100 ns since the year 1."""

type _Metadata = dict[str, tuple[Literal["string", "json"], str] | None]
"""None: a key that .NET has too, without a value; it gives fields of the body its spelling and does not go over."""


class UnreadableBody(Exception):
    """The body is neither data nor a string: .NET's Body property refuses such messages too."""


def trigger_input(message: Any, lock_token: UUID, *, binary: bool) -> tuple[Any, rpc.Metadata]:
    """Return the body of a received message as TypedData, and its metadata.

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
        return rpc.bytes_data(body), _present(metadata)
    text = body.decode("utf-8", "replace")
    return rpc.text_data(text), _present(_overwritten(metadata, text))


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


def _metadata(message: Any, lock_token: UUID) -> _Metadata:
    annotations = message.annotations or {}
    enqueued = datetime.fromtimestamp(int(annotations.get(_ENQUEUED_TIME, 0)) / 1000, UTC)
    enqueued_text = _written(enqueued)
    expires = _written(enqueued + timedelta(seconds=message.ttl)) if message.ttl else _NEVER
    properties = _json(message.properties or {})
    texts = {
        "DeadLetterSource": annotations.get(_DEAD_LETTER_SOURCE),
        "LockToken": lock_token,
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
    values = {
        "DeliveryCount": message.delivery_count + 1,  # AMQP counts failed deliveries, .NET this one too
        "SequenceNumber": int(annotations.get(_SEQUENCE_NUMBER, 0)),
        # measured: the two in UTC do not say so, and the worker makes naive datetimes of them
        "EnqueuedTimeUtc": enqueued_text,
        "EnqueuedTime": enqueued_text + "+00:00",
        "ExpiresAtUtc": expires,
        "ExpiresAt": expires + "+00:00",
    }
    return {
        **{name: None if value is None else ("string", str(value)) for name, value in texts.items()},
        **{name: ("json", json.dumps(value)) for name, value in values.items()},
        "ApplicationProperties": ("json", properties),
        "UserProperties": ("json", properties),  # its name before version 5, by which the worker knows cardinality one
    }


def _present(metadata: _Metadata) -> rpc.Metadata:
    return {name: value for name, value in metadata.items() if value is not None}


def _overwritten(metadata: _Metadata, text: str) -> _Metadata:
    try:
        fields = json.loads(text)
    except ValueError:
        return metadata
    if not isinstance(fields, dict):
        return metadata
    names = {name.lower(): name for name in metadata}
    for field, value in fields.items():
        name = names.get(field.lower()) or field
        metadata[name] = ("string", value) if isinstance(value, str) else ("json", json.dumps(value))
    return metadata


def _json(properties: Mapping[str, Any]) -> str:
    return json.dumps({str(key): _plain(value) for key, value in properties.items()})


def _plain(value: Any) -> Any:
    """Write an application property as the host's JSON has it, measured: long exact, what JSON has not as text."""
    match value:
        case timestamp():
            return _written(datetime.fromtimestamp(int(value) / 1000, UTC)) + "Z"
        case bytes() | memoryview():
            return base64.b64encode(value).decode()
        case Described(descriptor=descriptor, value=int(ticks)) if descriptor == _TIMESPAN:
            return _span(ticks)
        case Described(descriptor=descriptor, value=int(ticks)) if descriptor == _OFFSET:
            seconds, rest = divmod(ticks - _TICKS_AT_EPOCH, _TICKS_PER_SECOND)
            return _written(datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 10)) + "+00:00"
        case Described(value=described):
            return _plain(described)
        case str() | int() | float() | None:
            return value
        case _:
            return str(value)


def _span(ticks: int) -> str:
    """Write a TimeSpan as .NET does: [-][d.]hh:mm:ss[.fffffff]."""
    seconds, rest = divmod(abs(ticks), _TICKS_PER_SECOND)
    days, seconds = divmod(seconds, 24 * 3600)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{'-' if ticks < 0 else ''}{f'{days}.' if days else ''}{clock}{f'.{rest:07}' if rest else ''}"


def _written(moment: datetime) -> str:
    """Write a time as Newtonsoft's JSON does, less its zone: a fraction only where there is one."""
    whole = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{moment.microsecond:06}".rstrip("0") if moment.microsecond else whole
