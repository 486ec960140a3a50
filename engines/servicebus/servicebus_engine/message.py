"""A message as it was sent, and a message as it lies in a queue."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import accumulate
from typing import Any, Final, Self
from uuid import UUID, uuid4

from servicebus_engine import wire
from servicebus_engine.errors import invalid_argument, malformed

SCHEDULED_ENQUEUE_TIME: Final = "x-opt-scheduled-enqueue-time"
DEAD_LETTER_SOURCE: Final = "x-opt-deadletter-source"
ENQUEUE_SEQUENCE_NUMBER: Final = "x-opt-enqueue-sequence-number"
PARTITION_KEY: Final = "x-opt-partition-key"

_SEQUENCE_NUMBER: Final = "x-opt-sequence-number"
_ENQUEUED_TIME: Final = "x-opt-enqueued-time"
_LOCKED_UNTIL: Final = "x-opt-locked-until"
_MESSAGE_STATE: Final = "x-opt-message-state"
_WRITTEN_AT_DELIVERY: Final = {_SEQUENCE_NUMBER, _ENQUEUED_TIME, _LOCKED_UNTIL, _MESSAGE_STATE}
_WRITTEN_BY_THE_BROKER: Final = {*_WRITTEN_AT_DELIVERY, DEAD_LETTER_SOURCE, ENQUEUE_SEQUENCE_NUMBER}

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

_NULL: Final = b"\x40"
_ABSOLUTE_EXPIRY: Final = _PROPERTY_NAMES.index("absolute_expiry_time")

_LONGEST_ID: Final = 128
"""Characters in a message id, session id or partition key; Service Bus quota."""

_LARGEST_PROPERTY: Final = 32 * 1024
_LARGEST_PROPERTIES: Final = 64 * 1024
"""Bytes of one property, and of the whole header: the sender's properties and the system's, that is, all that comes
before the body. "Message property size" in https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
(its include common-limits.md of May 2025), which also has the 128 characters of ids. Of what happens beyond, it names
only an exception of .NET's old client."""

_LARGEST_UINT: Final = 2**32 - 1
_LATEST: Final = 2**63 - 1
"""The last timestamp, in milliseconds."""

type _Pairs = list[tuple[str | None, tuple[bytes, bytes]]]
"""A map: the encoded keys and values, each with the text of its key where that is one."""


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
        self._codes = [code for code, _, _ in spans]
        self._spans = {code: (start, end) for code, start, end in spans}
        self._bare_from = next((start for code, start, _ in spans if code >= wire.PROPERTIES), len(raw))
        self._body_from = next((start for code, start, _ in spans if code >= wire.DATA), len(raw))
        self.raw = raw
        header = wire.decode_section(self._section(wire.HEADER)) if wire.HEADER in self._spans else []
        if not isinstance(header, list):
            raise malformed("The header of the message is not a list.")
        self._priority = _number("priority", header, 1, 0xFF)
        self.ttl = _number("ttl", header, 2, _LARGEST_UINT)
        self._annotations = self._pairs(wire.MESSAGE_ANNOTATIONS)
        self.scheduled_at = _time(SCHEDULED_ENQUEUE_TIME, self.annotation(SCHEDULED_ENQUEUE_TIME))
        self.message_id = identifier("MessageId", self.properties.get("message_id"))
        self.session_id = identifier("SessionId", self.properties.get("group_id"))

    @classmethod
    def received(cls, raw: bytes) -> Self:
        """Parse a message as a client sends it: checked in full, and with the id that the service gives where none is.

        Raises:
            ServiceBusError: a section is not what it must be, or something is larger than Service Bus allows.
        """
        content = cls(raw)
        codes = content._codes
        once = [code for code in codes if code not in (wire.DATA, wire.AMQP_SEQUENCE)]
        if not codes or codes != sorted(codes) or len(once) != len(set(once)):
            raise malformed("The sections of the message are in a wrong order, or there are none.")
        content.check_limits()
        written = any(name in _WRITTEN_BY_THE_BROKER for name, _ in content._annotations)
        if not written and content.message_id is not None:
            return content
        kept = [each for each in content._annotations if each[0] not in _WRITTEN_BY_THE_BROKER]
        if content.message_id is not None:
            return content._rewritten(annotations=kept)
        new = uuid4().hex
        fields = [wire.encode_text(new), *content._property_fields()[1:]]
        content = content._rewritten(annotations=kept, properties=fields)
        content.message_id = new
        return content

    @cached_property
    def properties(self) -> dict[str, Any]:
        """The properties section by field name, without empty fields."""
        fields = wire.decode_section(self._section(wire.PROPERTIES)) if wire.PROPERTIES in self._spans else []
        if not isinstance(fields, list):
            raise malformed("The properties of the message are not a list.")
        return {name: value for name, value in zip(_PROPERTY_NAMES, fields, strict=False) if value is not None}

    @cached_property
    def application_properties(self) -> dict[str, Any]:
        """The application properties, keys as the sender wrote them."""
        decoded = (
            wire.decode_section(self._section(wire.APPLICATION_PROPERTIES))
            if wire.APPLICATION_PROPERTIES in self._spans
            else {}
        )
        if not isinstance(decoded, dict):
            raise malformed("The application properties of the message are not a map.")
        return {str(key): value for key, value in decoded.items()}

    def modified(self, properties: dict[str, Any]) -> Self:
        """Return a copy with some application properties set; the others stay as they were encoded.

        Raises:
            ServiceBusError: a value cannot be encoded.
        """
        kept = [each for each in self._pairs(wire.APPLICATION_PROPERTIES) if each[0] not in properties]
        new = [(name, (wire.encode_text(name), wire.encode_value(value))) for name, value in properties.items()]
        return self._rewritten(application_properties=[*kept, *new])

    def annotated(self, name: str, value: Any) -> Self:
        """Return a copy with an annotation of the broker's set."""
        kept = [each for each in self._annotations if each[0] != name]
        return self._rewritten(annotations=[*kept, (name, (wire.encode_symbol(name), wire.encode_value(value)))])

    def with_ttl(self, ttl: int) -> Self:
        """Return a copy that lives so many milliseconds, and says so wherever it tells its life."""
        told = min(ttl, _LARGEST_UINT)
        header = wire.encode_header(durable=True, priority=self._priority, ttl=told, delivery_count=0)
        fields = None
        created = _time("creation_time", self.properties.get("creation_time"))
        if created is not None and "absolute_expiry_time" in self.properties:
            fields = self._property_fields()
            fields[_ABSOLUTE_EXPIRY] = wire.encode_timestamp(min(created + ttl, _LATEST))
        content = self._rewritten(header=header, properties=fields)
        content.ttl = told
        return content

    def deliver(self, delivery_count: int, annotations: list[bytes]) -> bytes:
        """Return the message for a receiver, with the broker's annotations (encoded keys and values) added."""
        header = wire.encode_header(durable=True, priority=self._priority, ttl=self.ttl, delivery_count=delivery_count)
        annotated = wire.encode_map(wire.MESSAGE_ANNOTATIONS, [*annotations, *self._own_annotations])
        return header + annotated + self.raw[self._bare_from :]

    def check_limits(self) -> Self:
        """Return the content itself, if Service Bus would take it.

        Raises:
            ServiceBusError: names what is too large, or does not decode.
        """
        if self._body_from > _LARGEST_PROPERTIES:
            size, most = self._body_from, _LARGEST_PROPERTIES
            raise invalid_argument(f"The properties of the message have {size} bytes; at most {most} are allowed.")
        for name, (_, value) in self._pairs(wire.APPLICATION_PROPERTIES):
            if name is None:
                raise malformed("The name of an application property is not a string.")
            if len(value) > _LARGEST_PROPERTY:
                raise invalid_argument(
                    f"The property '{name}' has {len(value)} bytes; at most {_LARGEST_PROPERTY} are allowed."
                )
        _ = self.application_properties  # a filter or an abandon must be able to read them
        for name in ("creation_time", "absolute_expiry_time"):
            _time(name, self.properties.get(name))
        identifier("PartitionKey", self.annotation(PARTITION_KEY))
        identifier("ReplyToSessionId", self.properties.get("reply_to_group_id"))
        return self

    @cached_property
    def _own_annotations(self) -> list[bytes]:
        """Encoded keys and values of the annotations that a delivery does not write anew."""
        return [part for name, pair in self._annotations if name not in _WRITTEN_AT_DELIVERY for part in pair]

    def _rewritten(
        self,
        *,
        header: bytes | None = None,
        annotations: _Pairs | None = None,
        properties: list[bytes] | None = None,
        application_properties: _Pairs | None = None,
    ) -> Self:
        """Return a copy with some sections written anew, and the body as it is.

        What was parsed of the others holds for the copy, so that it need not be parsed again: a message is copied for
        each subscription of a topic. Whoever changes what an attribute was read from sets the attribute.
        """
        sections = {
            wire.HEADER: self._section(wire.HEADER) if header is None else header,
            wire.MESSAGE_ANNOTATIONS: self._section(wire.MESSAGE_ANNOTATIONS),
            wire.PROPERTIES: self._section(wire.PROPERTIES),
            wire.APPLICATION_PROPERTIES: self._section(wire.APPLICATION_PROPERTIES),
        }
        parsed = dict(vars(self))
        if annotations is not None:
            sections[wire.MESSAGE_ANNOTATIONS] = _encoded(wire.MESSAGE_ANNOTATIONS, annotations)
            parsed["_annotations"] = annotations
            parsed.pop("_own_annotations", None)
        if properties is not None:
            sections[wire.PROPERTIES] = bytes((0, 0x53, wire.PROPERTIES)) + wire.encode_list(properties)
            parsed.pop("properties", None)
        if application_properties is not None:
            sections[wire.APPLICATION_PROPERTIES] = _encoded(wire.APPLICATION_PROPERTIES, application_properties)
            parsed.pop("application_properties", None)
        ends = list(accumulate(map(len, sections.values())))
        spans = zip(sections, zip([0, *ends], ends, strict=False), strict=True)
        content = type(self).__new__(type(self))
        vars(content).update(
            parsed,
            raw=b"".join([*sections.values(), self.raw[self._body_from :]]),
            _spans={code: span for code, span in spans if sections[code]},
            _bare_from=ends[1],
            _body_from=ends[-1],
        )
        return content

    def _section(self, code: int) -> bytes:
        start, end = self._spans.get(code, (0, 0))
        return self.raw[start:end]

    def _pairs(self, code: int) -> _Pairs:
        """Return the encoded keys and values of a section that is a map, with the keys' text where they have one."""
        if code not in self._spans:
            return []
        return [
            (wire.text(key), (key, value)) for key, value in wire.split_map(wire.value_of_section(self._section(code)))
        ]

    def annotation(self, name: str) -> Any:
        """Return the value of an annotation, None where there is none."""
        return next((wire.decode_value(value) for other, (_, value) in self._annotations if other == name), None)

    def _property_fields(self) -> list[bytes]:
        """Return the encoded fields of the properties section, all of them."""
        section = self._section(wire.PROPERTIES)
        fields = wire.split_list(wire.value_of_section(section)) if section else []
        return fields + [_NULL] * (len(_PROPERTY_NAMES) - len(fields))


def _encoded(section: int, pairs: _Pairs) -> bytes:
    return wire.encode_map(section, [part for _, pair in pairs for part in pair]) if pairs else b""


def _number(name: str, header: list[Any], index: int, largest: int) -> int | None:
    value = header[index] if len(header) > index else None
    if value is not None and not (isinstance(value, int) and 0 <= value <= largest):
        raise malformed(f"The {name} of the header is not a number from 0 to {largest}.")
    return value


def _time(name: str, value: Any) -> int | None:
    if value is not None and not (isinstance(value, int) and -_LATEST <= value <= _LATEST):
        raise malformed(f"{name} is not a timestamp.")
    return value


def identifier(name: str, value: Any) -> str | None:
    """Return an id as text.

    Raises:
        ServiceBusError: it is longer than Service Bus allows.
    """
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
