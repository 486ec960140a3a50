"""Frames that no client sends: whatever one holds, its delivery is rejected or its link closed, and others go on."""

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proton import Data

from tests.integration.local.servicebus import frames
from tests.integration.local.servicebus.frames import (
    DISPOSITION,
    FALSE,
    NULL,
    RECEIVER,
    SENDER,
    TRANSFER,
    TRUE,
    binary,
    described,
    frame,
    listed,
    mapped,
    symbol,
    text,
    uint,
    ulong,
)
from tests.integration.local.servicebus.topology import config, queue
from tests.support.servicebus import Engine, running_engine

CASES = 1000

CONFIG = config(queue("odd"), queue("odd-sessions", RequiresSession=True), queue("plain"), queue("large"))

OPERATIONS = {
    "peek-message": ("from-sequence-number", "message-count", "session-id"),
    "renew-lock": ("lock-tokens",),
    "receive-by-sequence-number": ("sequence-numbers", "receiver-settle-mode", "session-id"),
    "update-disposition": ("lock-tokens", "disposition-status", "deadletter-reason", "properties-to-modify"),
    "schedule-message": ("messages",),
    "cancel-scheduled-message": ("sequence-numbers",),
    "renew-session-lock": ("session-id",),
    "get-session-state": ("session-id",),
    "set-session-state": ("session-id", "session-state"),
    "add-rule": ("rule-name", "rule-description"),
    "enumerate-rules": ("skip", "top"),
    "remove-rule": ("rule-name",),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(CONFIG) as running:
        yield running


@contextmanager
def somebody_works(engine: Engine) -> Iterator[None]:
    """Let a well-behaved client send and receive all the while; it must be served at the end as at the beginning."""
    over = threading.Event()
    trouble: list[BaseException] = []
    served: list[int] = []

    def work() -> None:
        client = ServiceBusClient.from_connection_string(engine.connection_string, retry_total=0)
        try:
            with client, client.get_queue_sender("plain") as sender, client.get_queue_receiver("plain") as receiver:
                while not over.is_set() or len(served) < 2:
                    sender.send_messages(ServiceBusMessage(str(len(served))))
                    (message,) = receiver.receive_messages(1, max_wait_time=20)
                    receiver.complete_message(message)
                    assert str(message) == str(len(served))
                    served.append(len(served))
                    over.wait(0.01)
        except Exception as error:  # noqa: BLE001 (told by the test)
            trouble.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join(60)
    assert trouble == []
    assert len(served) > 1


def values() -> st.SearchStrategy[bytes]:
    """Encoded AMQP values: of every kind, with contents that fit it or do not, and with lengths that may lie."""
    fixed = st.one_of(
        st.sampled_from([NULL, TRUE, FALSE, b"\x43", b"\x44", b"\x45"]),
        *(
            st.binary(min_size=width, max_size=width).map(bytes((code,)).__add__)
            for width, codes in (
                (1, b"\x50\x51\x52\x53\x54\x55\x56"),
                (2, b"\x60\x61"),
                (4, b"\x70\x71\x72\x73\x74"),
                (8, b"\x80\x81\x82\x83\x84"),
                (16, b"\x94\x98"),
            )
            for code in codes
        ),
    )
    variable = st.builds(
        lambda code, payload: bytes((code, len(payload))) + payload,
        st.sampled_from([0xA0, 0xA1, 0xA3]),
        st.one_of(st.binary(max_size=40), st.text(max_size=10).map(str.encode), st.just(b"x" * 200)),
    )

    def nested(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        items = st.lists(inner, max_size=4)
        return st.one_of(
            items.map(lambda given: listed(*given)),
            items.map(lambda given: mapped(*given)),
            st.tuples(inner, inner).map(lambda pair: b"\x00" + pair[0] + pair[1]),
            st.tuples(items, st.integers(0, 300)).map(
                lambda lie: b"\xc0" + bytes((sum(map(len, lie[0])) % 256, lie[1] % 256)) + b"".join(lie[0])
            ),
            st.tuples(st.sampled_from([0xB0, 0xB1, 0xB3, 0xD0, 0xD1, 0xF0]), st.integers(0, 2**32 - 1), inner).map(
                lambda lie: bytes((lie[0],)) + struct.pack(">I", lie[1]) + lie[2]
            ),
        )

    return st.recursive(st.one_of(fixed, variable), nested, max_leaves=6)


VALUES = values()
SECTIONS = st.lists(
    st.one_of(
        st.builds(described, st.integers(0x70, 0x78), VALUES),
        st.builds(lambda pairs: described(0x72, mapped(*pairs)), st.lists(VALUES, max_size=4)),
        st.builds(lambda pairs: described(0x74, mapped(*pairs)), st.lists(VALUES, max_size=4)),
        st.builds(lambda fields: described(0x70, listed(*fields)), st.lists(VALUES, max_size=5)),
        st.builds(lambda fields: described(0x73, listed(*fields)), st.lists(VALUES, max_size=13)),
        st.just(described(0x75, binary(b"body"))),
    ),
    max_size=5,
).map(b"".join)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Management requests with odd bodies."""
    operation = draw(st.sampled_from(sorted(OPERATIONS)))
    body = [part for key in OPERATIONS[operation] if draw(st.booleans()) for part in (text(key), draw(VALUES))]
    if operation == "schedule-message" and draw(st.booleans()):
        body = [text("messages"), listed(mapped(text("message"), draw(st.one_of(VALUES, SECTIONS.map(binary)))))]
    properties = mapped(text("operation"), text("com.microsoft:" + operation))
    return (
        described(0x73, listed(draw(VALUES), NULL, NULL, NULL, draw(st.one_of(st.just(text("here")), VALUES))))
        + described(0x74, draw(st.one_of(st.just(properties), VALUES)))
        + described(0x77, draw(st.one_of(st.just(mapped(*body)), VALUES)))
    )


@st.composite
def odd_frames(draw: st.DrawFn) -> bytes:
    """One frame: odd contents in a valid frame, odd fields of a performative, or a frame with bytes changed."""
    number = draw(st.integers(0, 3))
    fields: dict[int, list[bytes]] = {
        frames.OPEN: [text("odd"), NULL, uint(65536), b"\x60\x00\xff"],
        frames.BEGIN: [NULL, uint(0), uint(1000), uint(1000), uint(255)],
        frames.ATTACH: frames.attach_fields("again", 9, draw(st.sampled_from([SENDER, RECEIVER])), "odd-sessions"),
        frames.FLOW: [uint(0), uint(1000), uint(0), uint(1000), uint(3), uint(0), uint(5), NULL, TRUE],
        TRANSFER: [uint(0), uint(number), binary(b"tag"), uint(0), FALSE, FALSE],
        DISPOSITION: [RECEIVER, uint(0), uint(number), TRUE, described(0x27, listed(NULL, NULL, mapped()))],
        frames.DETACH: [uint(0), TRUE, described(0x1D, listed(symbol("odd"), text("why"), mapped()))],
    }
    kind = draw(st.integers(0, 5))
    if kind == 0:
        made = frames.transfer(0, number, draw(SECTIONS), message_format=draw(st.sampled_from([0, 0x80013700])))
    elif kind == 1:
        made = frames.transfer(1, number, draw(requests()))
    elif kind == 2:
        state = described(draw(st.sampled_from([0x23, 0x24, 0x25, 0x26, 0x27, 0x34])), draw(VALUES))
        error = described(0x1D, listed(symbol("com.microsoft:dead-letter"), NULL, draw(VALUES)))
        outcome = draw(st.sampled_from([state, described(0x25, listed(error)), draw(VALUES)]))
        made = frame(DISPOSITION, [RECEIVER, uint(0), uint(number), TRUE, outcome])
    elif kind == 3:
        odd_filter = described(0x28, listed(text("odd-sessions"), *[NULL] * 6, draw(VALUES)))
        attach = frames.attach_fields("session", 8, RECEIVER, "odd-sessions")
        made = frame(frames.ATTACH, [*attach[:5], odd_filter, *attach[6:], *[NULL] * 3, draw(VALUES)])
    else:
        performative = draw(st.sampled_from(sorted(fields)))
        given = fields[performative]
        for _ in range(draw(st.integers(1, 2))):
            given[draw(st.integers(0, len(given) - 1))] = draw(VALUES)
        made = frame(performative, given, draw(SECTIONS) if performative == TRANSFER else b"")
    if draw(st.integers(0, 4)) == 0:
        changed = bytearray(made)
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
        made = bytes(changed[: draw(st.integers(1, len(changed)))])
    return made


def conversation(engine: Engine) -> frames.Conversation:
    """Begin a connection that may send to a queue, ask its management node, and has a message of it in hand."""
    said = frames.Conversation(
        engine.port,
        frames.opened()
        + frames.attached("to", 0, SENDER, "odd")
        + frames.attached("ask", 1, SENDER, "odd/$management")
        + frames.attached("replies", 2, RECEIVER, "odd/$management")
        + frames.attached("from", 3, RECEIVER, "odd"),
    )
    for _ in range(4):
        said.hear(frames.ATTACH)
    said.say(frames.flow(2, 100) + frames.transfer(0, 0, described(0x75, binary(b"in hand"))) + frames.flow(3, 2))
    return said


# the same cases each time, so that a change does not fail for what another one has done
@settings(max_examples=CASES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.lists(odd_frames(), min_size=1, max_size=4).map(b"".join))
def send_odd_frames(engine: Engine, sent: bytes) -> None:
    before = len(engine.log)
    said = conversation(engine)
    said.hear(TRANSFER)
    said.say(sent)
    said.hang_up()
    assert "Traceback" not in engine.log[before:], engine.log[before : before + 4000]
    assert engine.process.poll() is None


def test_a_thousand_odd_connections_do_no_harm_to_a_client_that_works_meanwhile(engine: Engine) -> None:
    with somebody_works(engine):
        send_odd_frames(engine)
    assert "Traceback" not in engine.log


MANAGED: dict[str, bytes] = {
    "a message that is a huge number": mapped(
        text("messages"), listed(mapped(text("message"), ulong(2**40), text("message-id"), text("x")))
    ),
    "messages that are no list": mapped(text("messages"), uint(7)),
}


@pytest.mark.parametrize("body", MANAGED.values(), ids=MANAGED)
def test_a_request_with_odd_values_is_answered_with_an_error(engine: Engine, body: bytes) -> None:
    operation = described(0x74, mapped(text("operation"), text("com.microsoft:schedule-message")))
    request = described(0x73, listed(text("1"))) + operation + described(0x77, body)
    said = conversation(engine)
    said.say(frames.transfer(1, 1, request))
    reply = said.hear(TRANSFER)
    while b"statusCode" not in reply:
        reply = said.hear(TRANSFER)
    assert b"com.microsoft:argument-error" in reply
    said.close()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        described(0x73, listed(text("1"))) + described(0x74, text("no map")) + described(0x77, mapped()),
        described(0x74, listed()) + described(0x77, mapped()),
    ],
    ids=["empty", "properties that are a text", "properties that are a list"],
)
@pytest.mark.parametrize("handle", [0, 1])
def test_an_odd_transfer_is_rejected_and_its_link_goes_on(engine: Engine, handle: int, payload: bytes) -> None:
    said = conversation(engine)
    said.hear(DISPOSITION)  # of the first message
    said.say(frames.transfer(handle, 1, payload))
    assert b"amqp:decode-error" in said.hear(DISPOSITION)
    said.say(frames.transfer(0, 2, described(0x75, binary(b"good"))))
    assert bytes((0, 0x53, 0x24)) in said.hear(DISPOSITION)  # accepted
    said.close()


@pytest.mark.parametrize("time", [ulong(2**63), b"\x83" + b"\xff" * 8, text("now"), b"\x83\x7f" + b"\xff" * 7])
@pytest.mark.parametrize("field", ["expiry", "creation", "enqueueing"])
def test_an_odd_time_harms_nobody(engine: Engine, field: str, time: bytes) -> None:
    now = b"\x83" + bytes(8)
    times = {"expiry": (time, now), "creation": (now, time), "enqueueing": (NULL, NULL)}[field]
    enqueueing = mapped(symbol("x-opt-scheduled-enqueue-time"), time)
    before = len(engine.log)
    said = conversation(engine)
    said.hear(DISPOSITION)  # of the first message
    annotations = described(0x72, enqueueing) if field == "enqueueing" else b""
    properties = described(0x73, listed(*[NULL] * 8, *times))
    said.say(frames.transfer(0, 1, annotations + properties + described(0x75, binary(b"odd"))))
    taken = bytes((0, 0x53, 0x24)) in said.hear(DISPOSITION)
    assert taken == time.startswith(b"\x83")
    said.close()
    assert "Traceback" not in engine.log[before:]


def test_a_transfer_without_a_tag_is_taken(engine: Engine) -> None:
    said = conversation(engine)
    said.hear(DISPOSITION)  # of the first message
    said.say(frame(TRANSFER, [uint(0), uint(1), NULL, uint(0), FALSE], described(0x75, binary(b"good"))))
    assert bytes((0, 0x53, 0x24)) in said.hear(DISPOSITION)
    said.close()


NO_TEXT = b"\xa1\x02\xff\xfe"
"""A string of AMQP whose two bytes are not UTF-8."""


@pytest.mark.parametrize("address", ["odd", "odd/$management", "nowhere"])
@pytest.mark.parametrize("role", [SENDER, RECEIVER], ids=["sender", "receiver"])
@pytest.mark.parametrize("odd", ["name", "source", "target"])
def test_a_link_with_a_text_that_is_not_utf_8_is_answered(engine: Engine, odd: str, role: bytes, address: str) -> None:
    name, handle, *rest = frames.attach_fields("link", 7, role, address)
    fields = {"name": name, "source": rest[3], "target": rest[4]}
    code = {"source": 0x28, "target": 0x29}
    fields[odd] = NO_TEXT if odd == "name" else described(code[odd], listed(NO_TEXT))
    rest[3:5] = fields["source"], fields["target"]
    before = len(engine.log)
    said = conversation(engine)
    said.say(frame(frames.ATTACH, [fields["name"], handle, *rest]))
    said.hear(frames.ATTACH)
    said.hang_up()
    assert "Traceback" not in engine.log[before:]


LARGEST_FRAME = 64 * 1024


def transfer_of(size: int, number: int, tag: bytes, message_format: int) -> bytes:
    """Return a transfer in a frame of exactly so many bytes: a message, or a batch of one, whose body fills it."""

    def made(filling: int) -> bytes:
        message = described(0x75, b"\xb0" + struct.pack(">I", filling) + b"x" * filling)
        if message_format:
            message = described(0x75, b"\xb0" + struct.pack(">I", len(message)) + message)
        return frame(TRANSFER, [uint(0), uint(number), binary(tag), uint(message_format), FALSE, FALSE], message)

    return made(size - len(made(0)))


@pytest.mark.parametrize("message_format", [0, 0x80013700], ids=["message", "batch"])
@pytest.mark.parametrize("tag", [b"", b"b", b"x" * 32], ids=["no tag", "a batch's tag", "a long tag"])
def test_frames_of_the_largest_size_arrive_whole(engine: Engine, tag: bytes, message_format: int) -> None:
    said = frames.Conversation(engine.port, frames.opened() + frames.attached("to", 0, SENDER, "large"))
    said.hear(frames.FLOW)
    sizes = [LARGEST_FRAME, *range(LARGEST_FRAME - 9, LARGEST_FRAME + 1)]
    said.say(b"".join(transfer_of(size, number, tag, message_format) for number, size in enumerate(sizes)))
    said.hang_up()
    bodies: list[bytes] = []
    with (
        ServiceBusClient.from_connection_string(engine.connection_string, retry_total=0) as client,
        client.get_queue_receiver("large") as receiver,
    ):
        while len(bodies) < len(sizes):
            arrived = receiver.receive_messages(len(sizes), max_wait_time=20)
            assert arrived, f"{len(bodies)} of {len(sizes)} have come"
            for message in arrived:
                bodies.append(b"".join(message.body))
                receiver.complete_message(message)
    assert all(body == b"x" * len(body) for body in bodies)
    assert [len(body) - len(bodies[0]) for body in bodies] == [size - LARGEST_FRAME for size in sizes]


def test_a_frame_that_is_larger_than_announced_ends_its_connection(engine: Engine) -> None:
    said = conversation(engine)
    said.hear(DISPOSITION)  # of the first message
    said.say(transfer_of(LARGEST_FRAME + 1, 1, b"x", 0))
    with pytest.raises(ConnectionError):
        said.hear(0xFF)
    said.close()


def test_a_transfer_without_an_end_closes_its_link_before_it_fills_the_memory(engine: Engine) -> None:
    said = conversation(engine)
    for _ in range(40):
        said.say(frames.transfer(0, 1, bytes(50_000), more=True))
    assert b"amqp:link:message-size-exceeded" in said.hear(frames.DETACH)
    said.close()


def test_frames_of_a_session_that_has_ended_are_dropped_and_the_connection_goes_on(engine: Engine) -> None:
    said = conversation(engine)
    said.say(frame(frames.END, []))
    said.hear(frames.END)
    said.say(frame(frames.DETACH, [uint(2), TRUE]) + frames.transfer(0, 1, b"") + frame(frames.END, []))
    said.say(frame(frames.BEGIN, [NULL, uint(0), uint(1000), uint(1000)]) + frames.attached("to", 0, SENDER, "odd"))
    assert b"odd" in said.hear(frames.ATTACH)
    said.say(frames.transfer(0, 0, described(0x75, binary(b"good"))))
    assert bytes((0, 0x53, 0x24)) in said.hear(DISPOSITION)  # accepted
    said.say(frame(frames.END, []) + frame(frames.CLOSE, []))
    said.hear(frames.CLOSE)  # is of the connection, on whatever channel
    said.close()


def sasl(mechanism: str) -> bytes:
    body = described(0x41, listed(symbol(mechanism), binary(b"\x00user\x00password")))
    return frames.SASL + struct.pack(">IBBH", len(body) + 8, 2, 1, 0) + body


@pytest.mark.parametrize(
    "odd",
    [
        frame(TRANSFER, [uint(0), uint(1), binary(b"1")], b"x", channel=99),
        frame(frames.BEGIN, [text("no channel")], channel=0),
        b"\x00\x00\x00\x04\x02\x00\x00\x00",
        b"\x7f\xff\xff\xff\x02\x00\x00\x00",
    ],
    ids=["a channel that there is not", "a session begun twice", "a size of 4", "a size of 2 GiB"],
)
def test_a_connection_that_breaks_the_protocol_is_hung_up_on(engine: Engine, odd: bytes) -> None:
    said = conversation(engine)
    said.say(odd + bytes(200))
    with pytest.raises(ConnectionError):
        said.hear(0xFF)
    said.close()


@pytest.mark.parametrize("mechanism", ["MSSBCBS", "ANONYMOUS", "PLAIN"])
def test_the_mechanisms_of_the_clients_of_service_bus_get_in(engine: Engine, mechanism: str) -> None:
    said = frames.Conversation(engine.port, sasl(mechanism) + frames.opened())
    assert said.header == frames.SASL
    assert mechanism.encode() in said.hear(0x40)
    assert said.hear(0x44).endswith(b"\x50\x00")
    assert said.hear_header() == frames.AMQP
    said.hear(frames.BEGIN)
    said.close()


def test_the_frame_size_of_service_bus_is_announced(engine: Engine) -> None:
    said = frames.Conversation(engine.port, frames.opened())
    assert uint(64 * 1024) in said.hear(frames.OPEN)
    said.close()


def test_another_mechanism_is_refused(engine: Engine) -> None:
    said = frames.exchange(engine.port, sasl("GSSAPI") + frames.opened())
    assert said.endswith(b"\x50\x01")


def flows(said: frames.Conversation) -> tuple[int, int]:
    """Return the delivery count and the credit of the next flow of a link."""
    data = Data()
    data.decode(said.hear(frames.FLOW))
    data.next()
    described_flow: Any = data.get_object()
    values = described_flow.value
    return (values[5], values[6]) if len(values) > 6 and values[4] is not None else flows(said)


@pytest.mark.parametrize("credit", [0, 1, 10])
def test_every_drain_is_answered_with_a_flow_also_without_credit(engine: Engine, credit: int) -> None:
    said = frames.Conversation(engine.port, frames.opened() + frames.attached("from", 0, RECEIVER, "plain"))
    said.say(frames.flow(0, credit, drain=True))
    assert flows(said)[1] == 0
    said.say(frames.flow(0, credit, drain=True, delivery_count=credit + 1))
    assert flows(said)[1] == 0
    said.close()


def test_a_coordinator_of_transactions_is_refused_with_a_sentence(engine: Engine) -> None:
    coordinator = described(0x30, listed())
    attach = frames.attach_fields("transactions", 0, SENDER, "")
    said = frames.Conversation(
        engine.port, frames.opened() + frame(frames.ATTACH, [*attach[:6], coordinator, *attach[7:]])
    )
    detach = said.hear(frames.DETACH)
    assert b"amqp:not-implemented" in detach
    assert b"Transactions are not supported" in detach
    said.close()


def test_http_is_refused_with_a_sentence(engine: Engine) -> None:
    said = frames.exchange(engine.port, b"GET /$Resources/topics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 501 Not Implemented\r\n")
    assert b"configuration file" in said
