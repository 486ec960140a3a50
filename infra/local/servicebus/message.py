"""A message as it was sent, and a message as it lies in a queue."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, Final, Self
from uuid import UUID

from proton import symbol

from infra.local.servicebus import wire
from infra.local.servicebus.errors import invalid_argument, malformed

SCHEDULED_ENQUEUE_TIME: Final = "x-opt-scheduled-enqueue-time"
DEAD_LETTER_SOURCE: Final = "x-opt-deadletter-source"

_SEQUENCE_NUMBER: Final = "x-opt-sequence-number"
_ENQUEUED_TIME: Final = "x-opt-enqueued-time"
_LOCKED_UNTIL: Final = "x-opt-locked-until"
_MESSAGE_STATE: Final = "x-opt-message-state"
_WRITTEN_BY_THE_BROKER: Final = {_SEQUENCE_NUMBER, _ENQUEUED_TIME, _LOCKED_UNTIL, _MESSAGE_STATE}

_SEQUENCE_NUMBER_KEY: Final = wire.encode_symbol(_SEQUENCE_NUMBER)
_ENQUEUED_TIME_KEY: Final = wire.encode_symbol(_ENQUEUED_TIME)
_LOCKED_UNTIL_KEY: Final = wire.encode_symbol(_LOCKED_UNTIL)
_MESSAGE_STATE_KEY: Final = wire.encode_symbol(_MESSAGE_STATE)

_PROPERTY_NAMES: Final = (
    "message_id",
    "user_id",
    "to",
    "subject",
    "reply_to",
    "correlation_id",
    "content_type",
    "content_encoding",
    "absolute_expiry_time",
    "creation_time",
    "group_id",
    "group_sequence",
    "reply_to_group_id",
)
"""Fields of the properties section, in order (AMQP 1.0, part 3.2.4)."""

_LONGEST_ID: Final = 128
"""Characters in a message id or session id; Service Bus quota."""


class State(IntEnum):
    """Where a message is in its life; the numbers are those of `x-opt-message-state`."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


class Content:
    """What a sender sent: header, annotations and the bare message, immutable.

    Attributes:
        raw: the encoded message, without delivery annotations.
        ttl: time to live in milliseconds, if the sender gave one.
        scheduled_at: the moment before which the message must stay hidden, milliseconds since 1970.
        message_id: the application's id, as text.
        session_id: the group id.
    """

    def __init__(self, raw: bytes) -> None:
        """Parse an encoded message.

        Raises:
            ServiceBusError: the bytes are no AMQP message, or an id is too long.
        """
        spans = list(wire.split_sections(raw))
        self._spans = {code: (start, end) for code, start, end in spans}
        self._bare_from = next((start for code, start, _ in spans if code >= wire.PROPERTIES), len(raw))
        self.raw = raw
        self._header: list[Any] = self._decoded(wire.HEADER, list)
        self.annotations: dict[str, Any] = {str(key): value for key, value in self._mapping(wire.MESSAGE_ANNOTATIONS)}
        self.ttl = self._header_field(2)
        self.scheduled_at: int | None = self.annotations.get(SCHEDULED_ENQUEUE_TIME)
        if self.scheduled_at is not None and not isinstance(self.scheduled_at, int):
            raise malformed(f"{SCHEDULED_ENQUEUE_TIME} is not a timestamp.")
        self.message_id = _identifier("MessageId", self.properties.get("message_id"))
        self.session_id = _identifier("SessionId", self.properties.get("group_id"))
        self._own_annotations = [
            encoded
            for key, value in self.annotations.items()
            if key not in _WRITTEN_BY_THE_BROKER
            for encoded in (wire.encode_symbol(key), wire.encode_value(value))
        ]

    @cached_property
    def properties(self) -> dict[str, Any]:
        """The properties section by field name, without empty fields."""
        fields = self._decoded(wire.PROPERTIES, list)
        return {name: value for name, value in zip(_PROPERTY_NAMES, fields, strict=False) if value is not None}

    @cached_property
    def application_properties(self) -> dict[str, Any]:
        """The application properties, keys as the sender wrote them."""
        return {str(key): value for key, value in self._mapping(wire.APPLICATION_PROPERTIES)}

    def modified(self, properties: dict[str, Any], annotations: dict[str, Any] | None = None) -> Self:
        """Return a copy with some application properties and annotations set."""
        own = {symbol(key): value for key, value in (self.annotations | (annotations or {})).items()}
        parts = [
            self._section(wire.HEADER),
            wire.encode_section(wire.MESSAGE_ANNOTATIONS, own) if own else b"",
            self._section(wire.PROPERTIES),
            wire.encode_section(wire.APPLICATION_PROPERTIES, self.application_properties | properties),
        ]
        parts += [self.raw[start:end] for code, start, end in wire.split_sections(self.raw) if code >= wire.DATA]
        return type(self)(b"".join(parts))

    def deliver(self, delivery_count: int, annotations: list[bytes]) -> bytes:
        """Return the message for a receiver, with the broker's annotations (encoded keys and values) added."""
        header = wire.encode_header(
            durable=True, priority=self._header_field(1), ttl=self.ttl, delivery_count=delivery_count
        )
        annotated = wire.encode_annotations(annotations + self._own_annotations)
        return header + annotated + self.raw[self._bare_from :]

    def _section(self, code: int) -> bytes:
        start, end = self._spans.get(code, (0, 0))
        return self.raw[start:end]

    def _decoded[T: (list[Any], dict[Any, Any])](self, code: int, kind: type[T]) -> T:
        value = wire.decode_section(self._section(code)) if code in self._spans else kind()
        if not isinstance(value, kind):
            raise malformed(f"Section {code:#x} of the message is not a {kind.__name__}.")
        return value

    def _mapping(self, code: int) -> list[tuple[Any, Any]]:
        return list(self._decoded(code, dict).items())

    def _header_field(self, index: int) -> int | None:
        value = self._header[index] if len(self._header) > index else None
        if value is not None and not isinstance(value, int):
            raise malformed("A field of the header is not a number.")
        return value


def _identifier(name: str, value: Any) -> str | None:
    if value is None:
        return None
    text = str(value)
    if len(text) > _LONGEST_ID:
        raise invalid_argument(f"The {name} has {len(text)} characters; at most {_LONGEST_ID} are allowed.")
    return text


@dataclass(slots=True, eq=False)
class Message:
    """A message in a queue.

    Attributes:
        row: its key in the store.
        sequence: its number in the queue; order of arrival.
        content: what was sent.
        enqueued_at: when it became visible, milliseconds since 1970.
        expires_at: when its time to live ends, if ever.
        delivery_count: deliveries that have failed so far.
        state: active, deferred or scheduled.
        lock_token: names the delivery under way, None if nobody holds the message.
        locked_until: when that delivery is given up.
    """

    row: int
    sequence: int
    content: Content
    enqueued_at: int
    expires_at: int | None = None
    delivery_count: int = 0
    state: State = State.ACTIVE
    lock_token: UUID | None = None
    locked_until: int = 0

    def encode(self, *, locked: bool = True) -> bytes:
        """Return the message as a receiver gets it, or (not `locked`) as somebody sees it who only looks."""
        annotations = [
            _SEQUENCE_NUMBER_KEY,
            wire.encode_long(self.sequence),
            _ENQUEUED_TIME_KEY,
            wire.encode_timestamp(self.enqueued_at),
            _MESSAGE_STATE_KEY,
            wire.encode_int(self.state),
        ]
        if locked and self.lock_token is not None:
            annotations += (_LOCKED_UNTIL_KEY, wire.encode_timestamp(self.locked_until))
        return self.content.deliver(self.delivery_count, annotations)
