"""Whatever was acknowledged outlives the process, however it ends."""

import gc
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiver, ServiceBusSubQueue
from azure.servicebus.exceptions import ServiceBusError

from tests.integration.local.servicebus.topology import config, queue, topic
from tests.support.servicebus import Engine, running_engine

TIMEOUT = 20.0  # seconds

# azure-servicebus forgets to close a socket whose other end was killed, which Python reports when it collects it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONFIG = config(
    queue("plain", MaxDeliveryCount=2),
    queue("sessions", RequiresSession=True),
    queue("unique", RequiresDuplicateDetection=True),
    topics=(topic("events", {"Name": "a"}, {"Name": "b"}, RequiresDuplicateDetection=True),),
)


@pytest.fixture(autouse=True)
def collect_the_sockets_of_the_killed() -> Iterator[None]:
    """Have them reported in the test that left them behind."""
    yield
    gc.collect()


def connected(engine: Engine) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(engine.connection_string, retry_total=0)


def drain(receiver: ServiceBusReceiver, count: int) -> list[str]:
    """Receive and complete exactly so many messages."""
    bodies: list[str] = []
    while len(bodies) < count:
        messages = receiver.receive_messages(count - len(bodies), max_wait_time=TIMEOUT)
        assert messages, f"{len(bodies)} of {count} messages came"
        for message in messages:
            bodies.append(str(message))
            receiver.complete_message(message)
    return bodies


def test_messages_of_every_state_survive_a_kill(tmp_path: Path) -> None:
    with running_engine(CONFIG, tmp_path) as engine, connected(engine) as client:
        with client.get_queue_sender("plain") as sender:
            sender.send_messages([ServiceBusMessage(text) for text in ("done", "deferred", "dead", "failed", "ready")])
            due = datetime.now(UTC) + timedelta(seconds=3)
            sender.schedule_messages(ServiceBusMessage("scheduled"), due)
        with client.get_queue_receiver("plain") as receiver:
            done, deferred, dead, failed = receiver.receive_messages(4, max_wait_time=TIMEOUT)
            receiver.complete_message(done)
            receiver.defer_message(deferred)
            receiver.dead_letter_message(dead, reason="because")
            receiver.abandon_message(failed)
            number = deferred.sequence_number or 0
            engine.kill()
    with running_engine(CONFIG, tmp_path) as engine, connected(engine) as client:
        with client.get_queue_receiver("plain") as receiver:
            (again,) = receiver.receive_messages(1, max_wait_time=TIMEOUT)
            assert (str(again), again.delivery_count) == ("failed", 1)
            receiver.complete_message(again)
            assert drain(receiver, 2) == ["ready", "scheduled"]
            (asked_for,) = receiver.receive_deferred_messages(number)
            assert str(asked_for) == "deferred"
            receiver.complete_message(asked_for)
            with client.get_queue_sender("plain") as sender:
                sender.send_messages(ServiceBusMessage("new"))
            (new,) = receiver.receive_messages(1, max_wait_time=TIMEOUT)
            assert (new.sequence_number or 0) > (again.sequence_number or 0)
        with client.get_queue_receiver("plain", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters:
            (dead,) = dead_letters.receive_messages(1, max_wait_time=TIMEOUT)
            assert (str(dead), dead.dead_letter_reason) == ("dead", "because")


def test_sequence_numbers_are_not_given_twice_even_if_the_queue_was_empty(tmp_path: Path) -> None:
    numbers = []
    for _ in range(2):
        with running_engine(CONFIG, tmp_path) as engine, connected(engine) as client:
            with client.get_queue_sender("plain") as sender:
                sender.send_messages(ServiceBusMessage("x"))
            with client.get_queue_receiver("plain") as receiver:
                (message,) = receiver.receive_messages(1, max_wait_time=TIMEOUT)
                receiver.complete_message(message)
                numbers.append(message.sequence_number)
            engine.kill()
    assert numbers == [1, 2]


def test_a_delivery_that_dies_with_the_engine_counts_as_failed(tmp_path: Path) -> None:
    for attempt in range(2):
        with running_engine(CONFIG, tmp_path) as engine, connected(engine) as client:
            if attempt == 0:
                with client.get_queue_sender("plain") as sender:
                    sender.send_messages(ServiceBusMessage("poison"))
            with client.get_queue_receiver("plain") as receiver:
                (message,) = receiver.receive_messages(1, max_wait_time=TIMEOUT)
                assert message.delivery_count == attempt
                engine.kill()
    with (
        running_engine(CONFIG, tmp_path) as engine,
        connected(engine) as client,
        client.get_queue_receiver("plain", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters,
    ):
        (message,) = dead_letters.receive_messages(1, max_wait_time=TIMEOUT)
        assert message.dead_letter_reason == "MaxDeliveryCountExceeded"


def test_sessions_keep_their_order_and_their_state(tmp_path: Path) -> None:
    with running_engine(CONFIG, tmp_path) as engine, connected(engine) as client:
        with client.get_queue_sender("sessions") as sender:
            sender.send_messages([ServiceBusMessage(str(number), session_id="s") for number in range(4)])
        with client.get_queue_receiver("sessions", session_id="s") as receiver:
            receiver.session.set_state(b"seen 0")
            first, second = receiver.receive_messages(2, max_wait_time=TIMEOUT)
            receiver.complete_message(first)
            receiver.abandon_message(second)
            engine.kill()
    with (
        running_engine(CONFIG, tmp_path) as engine,
        connected(engine) as client,
        client.get_queue_receiver("sessions", session_id="s") as receiver,
    ):
        assert receiver.session.get_state() == b"seen 0"
        assert drain(receiver, 3) == ["1", "2", "3"]


def test_duplicates_are_known_after_a_restart(tmp_path: Path) -> None:
    for number in range(2):
        with running_engine(CONFIG, tmp_path) as engine, connected(engine) as client:
            with client.get_queue_sender("unique") as sender:
                sender.send_messages(ServiceBusMessage(f"sent by run {number}", message_id="same"))
                sender.send_messages(ServiceBusMessage(f"other {number}", message_id=f"other {number}"))
            engine.kill()
    with (
        running_engine(CONFIG, tmp_path) as engine,
        connected(engine) as client,
        client.get_queue_receiver("unique") as receiver,
    ):
        assert drain(receiver, 3) == ["sent by run 0", "other 0", "other 1"]


def test_a_kill_in_the_midst_of_sending_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[list[str]] = [[], [], []]
    enough = threading.Event()

    def send(engine: Engine, mine: list[str], name: int) -> None:
        with connected(engine) as client, client.get_topic_sender("events") as sender:
            try:
                while True:
                    batch = [f"{name}-{len(mine) + offset}" for offset in range(3)]
                    sender.send_messages([ServiceBusMessage(text, message_id=text) for text in batch])
                    mine += batch
                    if len(mine) > 300:
                        enough.set()
            except ServiceBusError:
                return  # the kill

    with running_engine(CONFIG, tmp_path) as engine:
        threads = [threading.Thread(target=send, args=(engine, mine, name)) for name, mine in enumerate(acknowledged)]
        for thread in threads:
            thread.start()
        assert enough.wait(TIMEOUT)
        engine.kill()
        for thread in threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
    with running_engine(CONFIG, tmp_path) as engine, connected(engine) as client:
        copies = [received_until_empty(client, subscription) for subscription in "ab"]
    assert copies[0] == copies[1]
    for mine in acknowledged:
        assert set(mine) <= set(copies[0])
    assert len(set(copies[0])) == len(copies[0])
    assert len(copies[0]) % 3 == 0  # a batch is there as a whole or not at all


def received_until_empty(client: ServiceBusClient, subscription: str) -> list[str]:
    bodies: list[str] = []
    with client.get_subscription_receiver("events", subscription, prefetch_count=100) as receiver:
        while messages := receiver.receive_messages(100, max_wait_time=1):
            for message in messages:
                bodies.append(str(message))
                receiver.complete_message(message)
    return bodies


def test_a_second_engine_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with (
        running_engine(CONFIG, tmp_path),
        pytest.raises(RuntimeError, match=r"servicebus\.sqlite is in use by another engine"),
        running_engine(CONFIG, tmp_path),
    ):
        pass
