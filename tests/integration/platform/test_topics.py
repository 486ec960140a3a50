"""What every topic does for the relay: the one in Service Bus, and the one that tests keep in their process."""

import gc
import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusReceivedMessage

from shared.frame.messaging import topics
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import EventTooLarge, ServiceBusTopic
from shared.frame.messaging.wire import CONTENT_TYPE, from_body, to_body
from shared.frame.platform.settings import Settings
from shared.frame.write_side.relay import Topic, TopicUnreachable
from tests.support.servicebus import CONFIG, running_engine, running_servicebus
from tests.support.topic import KeptTopic

NAME = "order-events"


@pytest.fixture(scope="module")
def service_bus() -> Iterator[str]:
    """The laptop's topics, heard as another system does: with sessions, which keep an aggregate's events in order."""
    with running_servicebus(json.loads(CONFIG.read_text().replace("false", "true"))) as connection:
        yield connection


@contextmanager
def topic_at(connection: str) -> Iterator[ServiceBusTopic]:
    """A topic that is closed at the end, as those of the app are when its process ends."""
    topic = ServiceBusTopic(Settings(sql="", cosmos="", service_bus=connection), NAME, "ordering")
    try:
        yield topic
    finally:
        topic._client.close()


def events(count: int, payload: str = "{}") -> list[Envelope]:
    """One aggregate's first events."""
    aggregate_id = uuid4()
    return [
        Envelope(
            event_id=uuid4(),
            aggregate_id=aggregate_id,
            version=version,
            type="OrderSubmittedV1",
            payload=payload,
            occurred_at=datetime.now(UTC),
            command_id="c",
            correlation_id="conversation",
            causation_id="e",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" if version % 2 else None,
            actor="somebody",
        )
        for version in range(1, count + 1)
    ]


def messages(connection: str, aggregate_id: UUID, count: int) -> list[ServiceBusReceivedMessage]:
    """What the aggregate's session holds; looks for one more than is expected."""
    found: list[ServiceBusReceivedMessage] = []
    with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_subscription_receiver(NAME, "order-views", session_id=str(aggregate_id)) as receiver,
    ):
        while len(found) < count + 1:
            some = receiver.receive_messages(
                max_message_count=count + 1, max_wait_time=10 if len(found) < count else 0.5
            )
            for message in some:
                receiver.complete_message(message)
            found += some
            if not some:
                break
    return found


type Received = Callable[[UUID, int], list[Envelope]]


@pytest.fixture(params=["service bus", "in process"])
def port(request: pytest.FixtureRequest) -> Iterator[tuple[Topic, Received]]:
    """A topic, and what it has got of an aggregate."""
    if request.param == "in process":
        kept = KeptTopic()
        yield kept, lambda aggregate_id, _: [each for each in kept.sent if each.aggregate_id == aggregate_id]
        return
    connection: str = request.getfixturevalue("service_bus")
    with topic_at(connection) as topic:
        yield (
            topic,
            lambda aggregate_id, count: [
                from_body(b"".join(message.body)) for message in messages(connection, aggregate_id, count)
            ],
        )


def test_an_aggregates_events_arrive_as_they_were_sent_and_in_order(port: tuple[Topic, Received]) -> None:
    topic, received = port
    first, second = events(3)[:2], events(5)
    topic.send(first)
    topic.send(second)
    assert received(first[0].aggregate_id, 2) == first
    assert received(second[0].aggregate_id, 5) == second


def test_more_than_fits_into_one_batch_arrives_in_order(port: tuple[Topic, Received]) -> None:
    topic, received = port
    sent = events(5, payload=f'{{"text":"{"x" * 100_000}"}}')
    topic.send(sent)
    assert received(sent[0].aggregate_id, 5) == sent


def test_threads_may_send_at_once(port: tuple[Topic, Received]) -> None:
    topic, received = port
    sent, barrier = [events(4) for _ in range(3)], threading.Barrier(3)

    def send(some: list[Envelope]) -> None:
        barrier.wait()
        topic.send(some)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(send, sent))
    for some in sent:
        assert received(some[0].aggregate_id, 4) == some


def test_an_event_that_is_sent_again_arrives_once(service_bus: str) -> None:
    sent = events(2)
    with topic_at(service_bus) as topic:
        topic.send(sent)
        topic.send(sent)
    assert len(messages(service_bus, sent[0].aggregate_id, 2)) == 2


def test_the_message_says_on_its_outside_what_rules_and_people_look_for(service_bus: str) -> None:
    [sent, untraced] = events(2)
    with topic_at(service_bus) as topic:
        topic.send([sent, untraced])
    [message, other] = messages(service_bus, sent.aggregate_id, 2)
    assert (message.message_id, message.session_id) == (str(sent.event_id), str(sent.aggregate_id))
    assert (message.correlation_id, message.subject, message.content_type) == (
        "conversation",
        "OrderSubmittedV1",
        CONTENT_TYPE,
    )
    body = json.loads(b"".join(message.body))
    attributes = {name: value for name, value in body.items() if name not in {"data", "datacontenttype"}}
    assert message.application_properties == {
        b"type": b"OrderSubmittedV1",
        b"aggregateVersion": 1,
        b"traceparent": str(sent.traceparent).encode(),
        **{
            f"cloudEvents_{name}".encode(): value.encode() if isinstance(value, str) else value
            for name, value in attributes.items()
        },
    }
    assert b"traceparent" not in (other.application_properties or {})


@pytest.mark.parametrize("size", [262_000, 300_000, 2_000_000, 5_000_000])
def test_an_event_that_is_too_large_is_refused_before_anything_is_sent_and_others_can_be_sent_after_it(
    service_bus: str, size: int
) -> None:
    sent = events(1)
    large = events(1, payload=f'"{"x" * size}"')
    with topic_at(service_bus) as topic:
        for together in (large, [*sent, *large], [*large, *sent]):
            with pytest.raises(EventTooLarge, match=rf"{large[0].event_id} has {size // 1000}\d+ bytes"):
                topic.send(together)
        topic.send(sent)
    assert len(messages(service_bus, sent[0].aggregate_id, 1)) == 1


@pytest.mark.parametrize("size", [100_000, 131_072, 250_000, 261_000])
def test_an_event_of_nearly_the_largest_size_arrives(service_bus: str, size: int) -> None:
    [sent] = events(1)
    room = size - len(to_body(sent, "ordering"))
    sent = replace(sent, payload=f'"{"x" * room}"')
    with topic_at(service_bus) as topic:
        topic.send([sent])
    [message] = messages(service_bus, sent.aggregate_id, 1)
    assert from_body(b"".join(message.body)) == sent


# the client leaves a socket whose peer has died to the garbage collector
@pytest.mark.filterwarnings("ignore:.*<socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_an_outage_that_begins_between_two_sendings_is_told_apart() -> None:
    with running_engine() as engine, topic_at(engine.connection_string) as topic:
        topic.send(events(1))
        engine.kill()
        with pytest.raises(TopicUnreachable, match=NAME):
            topic.send(events(1))
    gc.collect()


def test_nobody_there_is_an_outage() -> None:
    nowhere = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=x;SharedAccessKey=eA==;UseDevelopmentEmulator=true;"
    with topic_at(nowhere) as topic, pytest.raises(TopicUnreachable):
        topic.send(events(1))


def test_a_topic_that_is_not_there_is_an_outage_and_not_the_fault_of_each_event() -> None:
    [namespace] = json.loads(CONFIG.read_text())["UserConfig"]["Namespaces"]
    namespace["Topics"] = [each for each in namespace["Topics"] if each["Name"] != NAME]
    with (
        running_engine({"UserConfig": {"Namespaces": [namespace]}}) as engine,
        topic_at(engine.connection_string) as topic,
        pytest.raises(TopicUnreachable, match=NAME),
    ):
        topic.send(events(1))


def test_a_broker_that_takes_bytes_and_never_answers_is_unreachable_before_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topics, "TIMEOUT", 1.0)
    with (
        running_engine() as engine,
        topic_at(engine.connection_string) as topic,
        ThreadPoolExecutor(1) as thread,
    ):
        topic.send(events(1))
        engine.process.send_signal(signal.SIGSTOP)
        try:
            sent = thread.submit(topic.send, events(1))
            assert isinstance(sent.exception(timeout=20), TopicUnreachable)
        finally:
            engine.process.send_signal(signal.SIGCONT)
