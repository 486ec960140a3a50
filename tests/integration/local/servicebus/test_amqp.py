"""What the SDK does not show: many links on one connection, and peers that misbehave."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from proton import Delivery, Message, symbol
from proton.utils import BlockingConnection, LinkDetached, SendException

from tests.integration.local.servicebus.amqp import NoMap, PeekLock, Raw, Session, SessionPump, connection, request, run
from tests.integration.local.servicebus.topology import config, queue, topic
from tests.support.servicebus import Engine, running_engine

CONFIG = config(
    queue("plain"), queue("sessions", RequiresSession=True), topics=(topic("events", {"Name": "a"}, {"Name": "b"}),)
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(CONFIG) as running:
        yield running


@pytest.fixture
def opened(engine: Engine) -> Iterator[BlockingConnection]:
    with connection(engine.port) as ready:
        yield ready


def take_one(opened: BlockingConnection, address: str = "plain") -> Any:
    """Receive and complete a message."""
    receiver = opened.create_receiver(address, credit=1)
    message = receiver.receive(timeout=20)
    receiver.accept()
    receiver.close()
    return message


def test_a_hundred_links_on_one_connection_share_the_sessions_in_order(engine: Engine) -> None:
    sessions, length = 300, 4
    pump = SessionPump(engine.port, "sessions", links=100, wanted=sessions * length, per_session=length)
    consumer = threading.Thread(target=run, args=(pump,), daemon=True)
    consumer.start()
    with ServiceBusClient.from_connection_string(engine.connection_string) as client:
        sender = client.get_queue_sender("sessions")
        with sender:
            for start in range(0, sessions, 100):
                numbers = [(session, number) for session in range(start, start + 100) for number in range(length)]
                sender.send_messages([ServiceBusMessage(str(n), session_id=f"s{session}") for session, n in numbers])
    consumer.join(60)
    assert not consumer.is_alive()
    assert pump.trouble == []
    assert len(pump.received) == sessions
    assert all(bodies == ["0", "1", "2", "3"] for bodies in pump.received.values())
    assert set(pump.holders.values()) == {1}


@pytest.mark.parametrize("failed", [True, False], ids=["delivery-failed", "bare, as .NET's client sends it"])
def test_abandoning_is_counted_and_can_change_application_properties(
    opened: BlockingConnection, *, failed: bool
) -> None:
    opened.create_sender("plain").send(Message(body=b"x", properties={"kept": 1, "changed": 1}))
    receiver: Any = opened.create_receiver("plain", credit=2, options=PeekLock())
    receiver.receive(timeout=20)
    delivery = receiver.fetcher.unsettled.popleft()
    delivery.local.failed = failed
    delivery.local.annotations = {symbol("changed"): 2, symbol("added"): "three"}
    delivery.update(Delivery.MODIFIED)
    delivery.settle()
    again = receiver.receive(timeout=20)
    receiver.accept()
    assert again.properties == {"kept": 1, "changed": 2, "added": "three"}
    assert (again.delivery_count, bytes(again.body)) == (1, b"x")


def test_a_released_message_comes_again_uncounted(opened: BlockingConnection) -> None:
    opened.create_sender("plain").send(Message(body="x"))
    receiver = opened.create_receiver("plain", credit=2, options=PeekLock())
    receiver.receive(timeout=20)
    receiver.release(delivered=False)
    assert receiver.receive(timeout=20).delivery_count == 0
    receiver.accept()


@pytest.mark.parametrize(
    ("operation", "body", "status", "condition"),
    [
        ("com.microsoft:add-rule", {}, 501, "amqp:not-implemented"),
        ("com.microsoft:peek-message", {}, 400, "com.microsoft:argument-error"),
        ("com.microsoft:peek-message", "no map", 400, "com.microsoft:argument-error"),
        (
            "com.microsoft:peek-message",
            {"from-sequence-number": "one", "message-count": 1},
            400,
            "com.microsoft:argument-error",
        ),
        ("com.microsoft:cancel-scheduled-message", {"sequence-numbers": [99]}, 404, "com.microsoft:message-not-found"),
    ],
)
def test_a_management_request_that_cannot_be_served_is_refused(
    opened: BlockingConnection, operation: str, body: object, status: int, condition: str
) -> None:
    opened.create_sender("plain").send(Message(body="something to look at"))
    reply = request(opened, "plain/$management", operation, body)
    take_one(opened)
    assert reply.properties["statusCode"] == status
    assert reply.properties["errorCondition"] == condition


def test_a_session_of_another_connection_cannot_be_used(engine: Engine, opened: BlockingConnection) -> None:
    with connection(engine.port) as holder:
        held = holder.create_receiver("sessions", options=Session("mine"))
        reply = request(opened, "sessions/$management", "com.microsoft:renew-session-lock", {"session-id": "mine"})
        assert reply.properties["errorCondition"] == "com.microsoft:session-lock-lost"
        reply = request(holder, "sessions/$management", "com.microsoft:renew-session-lock", {"session-id": "mine"})
        assert reply.properties["statusCode"] == 200
        held.close()


@pytest.mark.parametrize(
    ("address", "condition"),
    [
        ("nothing", "amqp:not-found"),
        ("nothing/$management", "amqp:not-found"),
        ("events/Subscriptions/c", "amqp:not-found"),
        ("events/Subscriptions/a/$DeadLetterQueue/$DeadLetterQueue", "amqp:not-found"),
        ("events", "amqp:not-allowed"),
        ("sessions", "amqp:not-allowed"),
        (None, "amqp:not-found"),
    ],
)
def test_a_receiver_of_what_cannot_be_received_from_is_refused(
    opened: BlockingConnection, address: str | None, condition: str
) -> None:
    with pytest.raises(LinkDetached, match=condition):
        opened.create_receiver(address)


def test_an_attach_that_is_not_understood_is_refused(opened: BlockingConnection) -> None:
    with pytest.raises(LinkDetached, match=r"com\.microsoft:argument-error"):
        opened.create_receiver("sessions", options=NoMap())


@pytest.mark.parametrize("address", ["events/Subscriptions/a", "plain/$DeadLetterQueue"])
def test_a_sender_to_what_can_only_be_received_from_is_refused(opened: BlockingConnection, address: str) -> None:
    with pytest.raises(LinkDetached, match="amqp:not-allowed"):
        opened.create_sender(address)


@pytest.mark.parametrize(
    "transfer",
    [
        b"no AMQP at all",
        b"\x00\x53\x75\xa0\xff",
        b"\x00\x53\x70\xa1\x01x\x00\x53\x75\xa0\x00",
        b"\x00\x53\x70\xc0\x05\x02\x41\x60\x01\x2c\x00\x53\x75\xa0\x00",
        b"\x00\x53\x74\xa1\x01x\x00\x53\x75\xa0\x00",
        b"\x00\x53\x74\xc1\x05\x02\xc1\x01\x00\x40\x00\x53\x75\xa0\x00",
        b"\x00\x53\x74\xc1\x06\x04\xa1\x01a\x41\x00\x53\x75\xa0\x00",
        b"\x00\x53\x72\xc1\x06\x02\xa3\x02\xc3\xa4\x41\x00\x53\x75\xa0\x00",
        b"\x00\x53\x72\xd1\x00\x00\x00\x0a\x00\x00\x00\x02\xa3\x01x" + b"\x00" * 5000 + b"\x00\x53\x75\xa0\x00",
        b"\x00\x53\x75\xa0\x00\x00\x53\x73\x45",
        Message(body="x", id="i" * 129).encode(),
        Message(body=bytes(256 * 1024)).encode(),
    ],
    ids=[
        "noise",
        "cut off",
        "header that is no list",
        "priority 300",
        "properties that are no map",
        "a map as a key",
        "a lying count",
        "a name that is not ASCII",
        "zeros",
        "wrong order",
        "long id",
        "large",
    ],
)
def test_a_transfer_that_cannot_be_taken_is_rejected_and_the_link_lives_on(
    opened: BlockingConnection, transfer: bytes
) -> None:
    sender = opened.create_sender("plain")
    raw: Any = Raw(transfer)
    with pytest.raises(SendException):
        sender.send(raw)
    sender.send(Message(body="still here"))
    assert take_one(opened).body == "still here"


def test_a_message_without_an_id_gets_one_of_32_hex_digits(opened: BlockingConnection) -> None:
    ids = []
    sender = opened.create_sender("plain")
    for _ in range(2):
        sender.send(Message(body="x", subject="kept"))
        message = take_one(opened)
        assert (message.subject, message.body) == ("kept", "x")
        ids.append(message.id)
    assert all(re.fullmatch("[0-9a-f]{32}", given) for given in ids)
    assert ids[0] != ids[1]


def test_a_message_goes_through_unchanged_to_the_byte(opened: BlockingConnection) -> None:
    message = Message(body={"a": [1, None, symbol("s")]}, id=17, properties={"n": 1}, durable=True)
    message.instructions = {symbol("for-the-broker"): 1}
    message.annotations = {symbol("x-own"): "kept"}
    opened.create_sender("events").send(message)
    for subscription in ("a", "b"):
        received = take_one(opened, f"EVENTS/subscriptions/{subscription}")
        assert (received.body, received.id, received.properties) == (message.body, message.id, message.properties)
        assert received.annotations[symbol("x-own")] == "kept"
        assert not received.instructions
