"""Bytes from strangers: understood or refused, never anything else."""

import contextlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proton import Message, symbol

from servicebus_engine import wire
from servicebus_engine.errors import ServiceBusError
from servicebus_engine.message import Content
from servicebus_engine.sockets import Peer, push
from tests.integration.local.servicebus.frames import described, mapped, text

SCALARS = st.one_of(st.text(), st.integers(-(2**31), 2**31 - 1), st.booleans(), st.binary())
ANNOTATIONS = ("x-0", "x-opt-enqueue-sequence-number", "x-1")  # one of them is the broker's to write
MESSAGES = st.builds(
    lambda message_id, body, properties, annotations, subject, ttl: Message(
        id=message_id,
        body=body,
        properties=properties,
        annotations={symbol(name): value for name, value in zip(ANNOTATIONS, annotations, strict=False)},
        subject=subject,
        ttl=ttl,
    ),
    message_id=st.sampled_from([None, "", "id"]),
    body=st.one_of(SCALARS, st.lists(SCALARS, max_size=4)),
    properties=st.dictionaries(st.text(max_size=9), SCALARS, max_size=4),
    annotations=st.lists(st.text(), max_size=3),
    subject=st.text(),
    ttl=st.integers(0, 1000),
)


@given(st.binary())
def test_arbitrary_bytes_are_refused_or_understood(noise: bytes) -> None:
    with contextlib.suppress(ServiceBusError):
        Content.received(noise)
    with contextlib.suppress(ServiceBusError):
        wire.batched_messages(noise)


@given(MESSAGES, st.data())
def test_a_message_with_one_wrong_byte_is_refused_or_understood(message: Message, data: st.DataObject) -> None:
    encoded = bytearray(message.encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ServiceBusError):
        content = Content.received(bytes(encoded))
        content.deliver(0, [])
        assert isinstance(content.application_properties, dict)


@given(MESSAGES)
def test_sections_add_up_to_the_message(message: Message) -> None:
    encoded = message.encode()
    spans = list(wire.split_sections(encoded))
    assert b"".join(encoded[start:end] for _, start, end in spans) == encoded
    assert [code for code, _, _ in spans] == sorted(code for code, _, _ in spans)


@given(MESSAGES, st.integers(0, 2**31))
def test_what_is_delivered_is_what_was_sent(message: Message, delivery_count: int) -> None:
    delivered = Message()
    delivered.decode(Content(message.encode()).deliver(delivery_count, []))
    assert delivered.body == message.body
    assert delivered.properties == message.properties
    assert delivered.subject == message.subject
    assert delivered.delivery_count == delivery_count
    assert (delivered.annotations or {}) == (message.annotations or {})


@given(st.lists(MESSAGES, min_size=1, max_size=4))
def test_a_batch_is_taken_apart_into_its_messages(messages: list[Message]) -> None:
    encoded = [bytes(message.encode()) for message in messages]
    envelope = b"".join(b"\x00\x53\x75\xb0" + len(part).to_bytes(4) + part for part in encoded)
    assert wire.batched_messages(envelope) == encoded


STEPS: list[Callable[[Content], Content]] = [
    lambda content: content.annotated("x-opt-enqueue-sequence-number", 7),
    lambda content: content.modified({"subject": "another", "new": 1}),
    lambda content: content.with_ttl(1000),
    lambda content: content.annotated("x-opt-deadletter-source", "there"),
]


def told(content: Content) -> list[object]:
    """Return all that a content says of itself."""
    properties = {
        **content.properties,
        **{f"own {name}": value for name, value in content.application_properties.items()},
    }
    plain = {name: bytes(value) if isinstance(value, memoryview) else value for name, value in properties.items()}
    annotations = [content.annotation(name) for name in ("x-opt-enqueue-sequence-number", "x-opt-deadletter-source")]
    return [
        content.raw,
        content.ttl,
        content.message_id,
        content.session_id,
        plain,
        annotations,
        content.deliver(1, []),
    ]


@given(MESSAGES, st.permutations(STEPS))
def test_a_message_that_is_written_anew_says_what_it_would_if_it_were_read_anew(
    message: Message, steps: list[Callable[[Content], Content]]
) -> None:
    content = Content.received(message.encode())
    for step in steps:
        assert told(content) == told(Content(content.raw))
        content = step(content)
    assert told(content) == told(Content(content.raw))


def test_a_body_of_several_sections_is_no_property() -> None:
    section = described(0x75, b"\xb0" + struct.pack(">I", 60_000) + bytes(60_000))
    assert Content.received(section * 3).message_id
    with pytest.raises(ServiceBusError, match="at most 65536"):
        Content.received(described(0x74, mapped(*[text(f"{n}") if n % 2 else text("x" * 30_000) for n in range(1, 7)])))


class Narrow:
    """Stands in for proton's transport: it takes a few bytes at a time, and none at all every other time."""

    def __init__(self) -> None:
        self.taken = b""
        self._asked = 0

    def capacity(self) -> int:
        """Tell how many bytes it takes now."""
        self._asked += 1
        return self._asked % 3 * 5

    def push(self, given: bytes) -> None:
        """Take bytes."""
        self.taken += given


@given(st.binary(max_size=200))
def test_bytes_that_proton_has_no_room_for_are_kept_for_it(received: bytes) -> None:
    peer, transport = Peer(), Narrow()
    peer.read = received
    for _ in range(len(received) + 3):
        push(peer, transport)
    assert transport.taken == received
    assert peer.read == b""
