"""Bytes from strangers: understood or refused, never anything else."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from proton import Message, symbol

from infra.local.servicebus import wire
from infra.local.servicebus.errors import ServiceBusError
from infra.local.servicebus.message import Content

SCALARS = st.one_of(st.text(), st.integers(-(2**31), 2**31 - 1), st.booleans(), st.binary())
MESSAGES = st.builds(
    lambda body, properties, annotations, subject, ttl: Message(
        body=body,
        properties=properties,
        annotations={symbol(f"x-{number}"): value for number, value in enumerate(annotations)},
        subject=subject,
        ttl=ttl,
    ),
    body=st.one_of(SCALARS, st.lists(SCALARS, max_size=4)),
    properties=st.dictionaries(st.text(max_size=9), SCALARS, max_size=4),
    annotations=st.lists(st.text(), max_size=3),
    subject=st.text(),
    ttl=st.integers(0, 1000),
)


@given(st.binary())
def test_arbitrary_bytes_are_refused_or_understood(noise: bytes) -> None:
    with contextlib.suppress(ServiceBusError):
        Content(noise)
    with contextlib.suppress(ServiceBusError):
        wire.batched_messages(noise)


@given(MESSAGES, st.data())
def test_a_message_with_one_wrong_byte_is_refused_or_understood(message: Message, data: st.DataObject) -> None:
    encoded = bytearray(message.encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ServiceBusError):
        content = Content(bytes(encoded))
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


@given(MESSAGES)
def test_a_message_is_not_taken_for_a_batch(message: Message) -> None:
    assert wire.batched_messages(message.encode()) is None
