"""Service Bus triggers against the development engine, fed by the real SDK, with the app in apps/messages."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import SessionCannotBeLockedError

from tests.integration.local.host.records import Notes, Record
from tests.support.host import ROOT, HostProcess, running_host_process, started_host
from tests.support.servicebus import Engine, running_engine

APP = Path(__file__).parent / "apps" / "messages"
LOCK = timedelta(seconds=2)
MAX_DELIVERIES = 3


def _entity(name: str, **properties: object) -> dict[str, object]:
    return {"Name": name, "Properties": {"LockDuration": "PT2S", "MaxDeliveryCount": MAX_DELIVERIES, **properties}}


CONFIG: dict[str, Any] = {
    "UserConfig": {
        "Namespaces": [
            {
                "Name": "sbemulatorns",
                "Queues": [_entity("work"), _entity("texts"), _entity("bytes")],
                "Topics": [
                    {
                        "Name": "events",
                        "Properties": {},
                        "Subscriptions": [{**_entity("by-session", RequiresSession=True), "Rules": []}],
                    }
                ],
            }
        ],
        "Logging": {"Type": "Console"},
    }
}


class Stack:
    """An engine and a host on it, with the notes of the app's functions."""

    def __init__(self, engine: Engine, host: HostProcess | None, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        if host is not None:
            self.host = host
        self.record = Record(folder / "record")

    def client(self) -> ServiceBusClient:
        """Return a real client that does not try again."""
        return ServiceBusClient.from_connection_string(self.engine.connection_string, retry_total=0)

    def publish(self, *messages: ServiceBusMessage) -> None:
        """Send to the topic with sessions."""
        with self.client() as client, client.get_topic_sender("events") as sender:
            sender.send_messages(list(messages))

    def enqueue(self, queue: str, *messages: ServiceBusMessage) -> None:
        """Send to a queue."""
        with self.client() as client, client.get_queue_sender(queue) as sender:
            sender.send_messages(list(messages))

    def wait_for(self, count: int, **wanted: object) -> Notes:
        """Wait for so many notes with the wanted fields, and return them."""

        def found(notes: Notes) -> Notes:
            return [note for note in notes if all(note.get(key) == value for key, value in wanted.items())]

        return found(self.record.wait(lambda notes: len(found(notes)) >= count))


def settings(engine: Engine, folder: Path) -> dict[str, str]:
    return {
        "BUS": engine.connection_string,
        "TOPIC": "events",
        "RECORD": str(folder / "record"),
        "GO": str(folder / "go"),
    }


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(CONFIG) as engine:
        yield engine


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("messages")
    with running_host_process(APP, settings(engine, folder)) as host:
        yield Stack(engine, host, folder)


def event(session: str, n: int = 0, **order: object) -> ServiceBusMessage:
    return ServiceBusMessage(json.dumps({"n": n, **order}), session_id=session, message_id=f"{session}-{n}")


def new() -> str:
    return uuid.uuid4().hex


def test_messages_come_where_there_is_no_uvloop_too(tmp_path: Path) -> None:
    module = "tests.integration.local.host.without_uvloop"
    with running_engine(CONFIG) as engine, started_host(APP, settings(engine, tmp_path), module=module) as host:
        stack, session = Stack(engine, host, tmp_path), new()
        stack.publish(*(event(session, n) for n in range(3)))
        ends = stack.wait_for(3, session=session, what="ends")
    assert [note["n"] for note in ends] == [0, 1, 2]


def test_messages_of_a_session_are_handled_one_at_a_time_in_order(stack: Stack) -> None:
    sessions = [new() for _ in range(3)]
    stack.publish(*(event(session, n, seconds=0.01) for n in range(8) for session in sessions))
    for session in sessions:
        stack.wait_for(8, session=session, what="ends")
        handled = [(note["what"], note["n"]) for note in stack.record.notes() if note["session"] == session]
        assert handled == [(what, n) for n in range(8) for what in ("begins", "ends")]


def exactly_so_many_begin_until_they_may_go_on(stack: Stack, key: str, held: list[str], limit: int) -> None:
    """Held messages fill all places, whenever another test's leave them; then those of another function pass them."""

    def begun() -> int:
        return sum(note.get("what") == "begins" and note[key] in held for note in stack.record.notes())

    stack.record.wait(lambda _: begun() >= limit)
    for name in (new() for _ in range(5)):  # one more of those that are held would have come meanwhile
        stack.enqueue("texts", ServiceBusMessage("passes", message_id=name))
        stack.wait_for(1, id=name)
    assert begun() == limit
    go = stack.folder / "go"
    go.touch()
    for name in held:
        stack.wait_for(1, **{key: name}, what="ends")
    go.unlink()


def test_sessions_are_handled_side_by_side_up_to_the_limit(stack: Stack) -> None:
    sessions = [new() for _ in range(6)]
    stack.publish(*(event(session, hold=True) for session in sessions))
    exactly_so_many_begin_until_they_may_go_on(stack, "session", sessions, 4)  # maxConcurrentSessions


def _of_its_own(tmp_path: Path, **options: object) -> Path:
    """The app with other options of its host.json."""
    app_dir = tmp_path / "app"
    shutil.copytree(APP, app_dir)
    (app_dir / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"serviceBus": options}}))
    return app_dir


def test_a_session_keeps_its_slot_until_it_has_been_idle_whoever_waits(tmp_path: Path) -> None:
    # measured on the real host, and in its source: 600 sessions of one message take 600 / slots idle times
    app_dir = _of_its_own(tmp_path, maxConcurrentSessions=4, sessionIdleTimeout="00:00:01")
    with running_engine(CONFIG) as engine:
        with Stack(engine, None, tmp_path).client() as client, client.get_topic_sender("events") as sender:
            sender.send_messages([event(new()) for _ in range(12)])
        with running_host_process(app_dir, settings(engine, tmp_path)) as host:
            ends = Stack(engine, host, tmp_path).wait_for(12, what="ends")
    moments = sorted(note["at"] for note in ends)
    assert moments[4] - moments[0] > 0.9
    assert moments[8] - moments[4] > 0.9


def test_the_lock_of_a_busy_session_ends_with_its_renewal_and_its_message_runs_twice_at_once(tmp_path: Path) -> None:
    # measured on the real host: renewal ends maxAutoLockRenewalDuration after the accept, however busy the session is
    session = new()
    app_dir = _of_its_own(tmp_path, maxConcurrentSessions=4, maxAutoLockRenewalDuration="00:00:01")
    with running_engine(CONFIG) as engine, running_host_process(app_dir, settings(engine, tmp_path)) as host:
        stack = Stack(engine, host, tmp_path)
        stack.publish(event(session, 1, hold=True), event(session, 2))
        begun = stack.wait_for(2, session=session, what="begins", n=1)
        assert [note["attempt"] for note in begun[:2]] == [1, 2]
        assert not [note for note in stack.record.notes() if note["what"] == "ends"]
        (tmp_path / "go").touch()
        stack.wait_for(1, session=session, what="ends", n=2)


@pytest.mark.parametrize("way", ["time-out", "crash"])
def test_a_worker_that_is_replaced_gives_its_messages_back(tmp_path: Path, way: str) -> None:
    # measured on the real host: the process is replaced at functionTimeout and when it ends; what was in flight failed
    session, name = new(), new()
    app_dir = _of_its_own(tmp_path, maxConcurrentSessions=4, sessionIdleTimeout="00:00:00.5")
    document = json.loads((app_dir / "host.json").read_text())
    (app_dir / "host.json").write_text(json.dumps(document | {"functionTimeout": "00:00:02"}))
    with running_engine(CONFIG) as engine, running_host_process(app_dir, settings(engine, tmp_path)) as host:
        stack = Stack(engine, host, tmp_path)
        stack.publish(event(session, 1, hold=way == "time-out", crash=way == "crash"), event(session, 2))
        stack.wait_for(1, session=session, what="begins", n=1)
        (tmp_path / "go").touch() if way == "crash" else stack.wait_for(2, session=session, what="begins", n=1)
        (tmp_path / "go").touch()
        stack.wait_for(1, session=session, what="ends", n=2)
        stack.enqueue("work", ServiceBusMessage("0", message_id=name))
        stack.wait_for(1, id=name, what="ends")
        said = "timeout value of 0:00:02 was exceeded by function by_session" if way == "time-out" else "exit code 3"
        assert said in host.log
    begun = [note for note in stack.record.notes() if note.get("n") == 1 and note["what"] == "begins"]
    assert len({note["process"] for note in begun[:2]}) == 2


def _free(client: ServiceBusClient, session: str) -> bool:
    """Try to take the session with the SDK, for a moment."""
    try:
        with client.get_subscription_receiver("events", "by-session", session_id=session):
            return True
    except SessionCannotBeLockedError:
        return False


def test_a_quiet_session_is_released_and_taken_up_again(stack: Stack) -> None:
    session = new()
    stack.publish(event(session, 1))
    stack.wait_for(1, session=session, what="ends")
    with stack.client() as client:
        deadline = time.monotonic() + 30
        while not _free(client, session):
            assert time.monotonic() < deadline, "the host keeps the session"
    stack.publish(event(session, 2))
    stack.wait_for(1, session=session, what="ends", n=2)


def test_a_function_that_fails_gets_its_message_again_before_any_later_one(stack: Stack) -> None:
    session = new()
    stack.publish(event(session, 1, failures=2), event(session, 2))
    stack.wait_for(1, session=session, what="ends", n=2)
    begun = stack.wait_for(4, session=session, what="begins")
    assert [(note["n"], note["attempt"]) for note in begun] == [(1, 1), (1, 2), (1, 3), (2, 1)]
    failed = rf"by_session failed on message {session}-1, delivery"
    stack.host.wait_for_log(rf"{failed} 1: .*attempt 1 fails on purpose\nTraceback(?s:.*)attempt 1 fails on purpose")
    stack.host.wait_for_log(rf"{failed} 2: .*attempt 2 fails on purpose\n(?!Traceback)")


def test_after_the_last_delivery_a_message_is_dead_lettered_and_the_session_goes_on(stack: Stack) -> None:
    session = new()
    stack.publish(event(session, 1, failures=99), event(session, 2))
    stack.wait_for(1, session=session, what="ends", n=2)
    with (
        stack.client() as client,
        client.get_subscription_receiver("events", "by-session", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver,
    ):
        dead = receiver.receive_messages(max_message_count=10, max_wait_time=10)
        assert [message.message_id for message in dead] == [f"{session}-1"]
        assert dead[0].dead_letter_reason == "MaxDeliveryCountExceeded"
        receiver.complete_message(dead[0])


def test_the_lock_of_a_session_outlasts_a_long_function(stack: Stack) -> None:
    session = new()
    stack.publish(event(session, 1, seconds=2.5 * LOCK.total_seconds()), event(session, 2))
    stack.wait_for(1, session=session, what="ends", n=2)
    handled = [(note["what"], note["n"]) for note in stack.record.notes() if note["session"] == session]
    assert handled == [("begins", 1), ("ends", 1), ("begins", 2), ("ends", 2)]


def test_the_lock_of_a_message_outlasts_a_long_function(stack: Stack) -> None:
    name = new()
    stack.enqueue("work", ServiceBusMessage(str(2.5 * LOCK.total_seconds()), message_id=name))
    stack.wait_for(1, id=name, what="ends")
    marker = new()
    stack.enqueue("work", ServiceBusMessage("0", message_id=marker))
    stack.wait_for(1, id=marker, what="ends")
    attempts = [note["attempt"] for note in stack.record.notes() if note["id"] == name]
    assert attempts == [1, 1]  # it began once and ended once


def test_without_sessions_messages_are_handled_side_by_side_up_to_the_limit(stack: Stack) -> None:
    names = [new() for _ in range(7)]
    stack.enqueue("work", *(ServiceBusMessage("hold", message_id=name) for name in names))
    exactly_so_many_begin_until_they_may_go_on(stack, "id", names, 3)  # maxConcurrentCalls


def test_a_message_arrives_with_all_its_metadata(stack: Stack) -> None:
    name = new()
    sent = ServiceBusMessage(
        "héllo",
        message_id=name,
        content_type="text/plain",
        correlation_id="c",
        subject="s",
        to="t",
        reply_to="r",
        time_to_live=timedelta(hours=1),
        application_properties={
            "text": "ä",
            "number": 7,
            "yes": True,
            "moment": datetime(2026, 1, 31, tzinfo=UTC),  # type: ignore[dict-item]  # the SDK does send it
        },
    )
    stack.enqueue("texts", sent)
    note = stack.wait_for(1, id=name)[0]
    assert note["body"] == "héllo"
    metadata = note["metadata"]
    properties = metadata.pop("ApplicationProperties")
    assert properties == metadata.pop("UserProperties") == note["properties"]
    assert properties == {
        "text": "ä",
        "number": 7,
        "yes": True,
        "moment": "2026-01-31T00:00:00Z",
    }
    enqueued = datetime.fromisoformat(metadata.pop("EnqueuedTime"))
    assert abs(datetime.now(UTC) - enqueued) < timedelta(minutes=1)
    assert datetime.fromisoformat(metadata.pop("ExpiresAt")) == enqueued + timedelta(hours=1)
    # measured on the real host: these two have no Z, so the worker makes naive datetimes of them
    assert datetime.fromisoformat(metadata.pop("EnqueuedTimeUtc")) == enqueued.replace(tzinfo=None)
    assert datetime.fromisoformat(metadata.pop("ExpiresAtUtc")) == enqueued.replace(tzinfo=None) + timedelta(hours=1)
    assert metadata.pop("SequenceNumber") > 0
    assert metadata == {
        "DeliveryCount": 1,
        "MessageId": name,
        "ContentType": "text/plain",
        "CorrelationId": "c",
        "Subject": "s",
        "Label": "s",
        "To": "t",
        "ReplyTo": "r",
    }
    assert str(uuid.UUID(note["lock_token"])) == note["lock_token"]


def test_a_json_body_overwrites_metadata_of_its_name_as_in_production(stack: Stack) -> None:
    name = new()
    stack.enqueue("texts", ServiceBusMessage(json.dumps({"correlationid": "body", "Extra": [1]}), message_id=name))
    metadata = stack.wait_for(1, id=name)[0]["metadata"]
    assert (metadata["CorrelationId"], metadata["Extra"]) == ("body", [1])


def test_a_binary_body_is_neither_decoded_nor_looked_into(stack: Stack) -> None:
    names = [new(), new()]
    bodies = [bytes(range(256)), b'{"sequenceNumber": "no number"}']
    stack.enqueue(
        "bytes", *(ServiceBusMessage(body, message_id=name) for name, body in zip(names, bodies, strict=True))
    )
    for name, body in zip(names, bodies, strict=True):
        note = stack.wait_for(1, id=name)[0]
        assert bytes.fromhex(note["body"]) == body
        assert isinstance(note["sequence_number"], int)


@pytest.mark.parametrize("key", ["traceparent", "Diagnostic-Id"])
def test_the_trace_of_a_message_goes_on_in_its_function(stack: Stack, key: str) -> None:
    session, parent = new(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    message = event(session)
    message.application_properties = {key: parent}
    stack.publish(message)
    # measured on the real host with OpenTelemetry: a new span under the sender's trace, sampled as that is
    version, trace, span, flags = stack.wait_for(1, session=session, what="ends")[0]["traceparent"].split("-")
    assert (version, trace, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "01")
    assert span != "b7ad6b7169203331"


@contextmanager
def engine_at(port: int, folder: Path) -> Iterator[None]:
    """Run an engine on a port of the past, as a restart does."""
    config = folder / "config.json"
    config.write_text(json.dumps(CONFIG))
    command = [sys.executable, "-m", "servicebus_engine", "--port", str(port), "--config", str(config)]
    options = ["--health-port", "none", "--data", str(folder / "data"), "--log-level", "ERROR"]
    process = subprocess.Popen([*command, *options], cwd=ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_messages_sent_while_the_engine_was_away_are_handled_when_it_is_back(tmp_path: Path) -> None:
    session = new()
    with (
        running_engine(CONFIG, tmp_path / "data") as engine,
        running_host_process(APP, settings(engine, tmp_path)) as host,
    ):
        stack = Stack(engine, host, tmp_path)
        stack.publish(event(session, 1))
        stack.wait_for(1, session=session, what="ends", n=1)
        engine.kill()
        host.wait_for_log("(?s)lost Service Bus at.*no Service Bus at")
        with engine_at(engine.port, tmp_path):
            host.wait_for_log("(?s)connected to Service Bus.*connected to Service Bus")
            stack.publish(event(session, 2))
            stack.wait_for(1, session=session, what="ends", n=2)
            assert re.findall("(no|lost|connected to) Service Bus", host.log) == [
                "connected to",
                "lost",
                "no",
                "connected to",
            ]
            assert host.stop() == 0


def test_a_host_that_starts_before_the_engine_waits_for_it(tmp_path: Path) -> None:
    with running_engine(CONFIG) as engine:
        pass
    session = new()
    with running_host_process(APP, settings(engine, tmp_path)) as host:
        host.wait_for_log("no Service Bus at")
        with engine_at(engine.port, tmp_path):
            stack = Stack(engine, host, tmp_path)
            host.wait_for_log("connected to Service Bus")
            stack.publish(event(session))
            stack.wait_for(1, session=session, what="ends")


def test_a_missing_entity_is_named_once_and_the_others_are_served(engine: Engine, tmp_path: Path) -> None:
    with running_host_process(APP, {**settings(engine, tmp_path), "TOPIC": "nowhere"}) as host:
        host.wait_for_log("by_session: nowhere/Subscriptions/by-session: amqp:not-found")
        host.wait_for_log("as_bytes: bytes: receiving")
        assert host.stop() == 0
        assert len(re.findall("amqp:not-found", host.log)) == 1


def test_a_stop_lets_a_running_function_finish_and_gives_back_the_rest(tmp_path: Path) -> None:
    session = new()
    with running_engine(CONFIG) as engine:
        with running_host_process(APP, settings(engine, tmp_path)) as host:
            stack = Stack(engine, host, tmp_path)
            stack.publish(event(session, 1, hold=True), event(session, 2))
            stack.wait_for(1, session=session, what="begins", n=1)
            host.process.send_signal(signal.SIGTERM)
            host.wait_for_log("stopping")
            (tmp_path / "go").touch()
            assert host.process.wait(30) == 0
            stack.wait_for(1, session=session, what="ends", n=1)
        with (
            stack.client() as client,
            client.get_subscription_receiver("events", "by-session", session_id=session) as receiver,
        ):
            left = receiver.receive_messages(max_message_count=10, max_wait_time=10)
            assert [(message.message_id, message.delivery_count) for message in left] == [(f"{session}-2", 0)]


def test_a_stop_gives_up_on_a_function_that_does_not_end(tmp_path: Path) -> None:
    session = new()
    with running_engine(CONFIG) as engine:
        with running_host_process(APP, settings(engine, tmp_path) | {"SHUTDOWN_SECONDS": "2"}) as host:
            stack = Stack(engine, host, tmp_path)
            stack.publish(event(session, 1, hold=True))
            stack.wait_for(1, session=session, what="begins", n=1)
            assert host.stop() == 0
        with (
            stack.client() as client,
            client.get_subscription_receiver("events", "by-session", session_id=session) as receiver,
        ):
            left = receiver.receive_messages(max_wait_time=10)
            assert [message.message_id for message in left] == [f"{session}-1"]


def test_a_thread_that_does_not_end_does_not_keep_the_host(tmp_path: Path) -> None:
    name = new()
    with running_engine(CONFIG) as engine:
        with running_host_process(APP, settings(engine, tmp_path) | {"SHUTDOWN_SECONDS": "2"}) as host:
            stack = Stack(engine, host, tmp_path)
            stack.enqueue("work", ServiceBusMessage("300", message_id=name))
            stack.wait_for(1, id=name, what="begins")
            assert host.stop() == 0
            assert "are cut off" in host.log
        with stack.client() as client, client.get_queue_receiver("work") as receiver:
            left = receiver.receive_messages(max_wait_time=10)
            assert [message.message_id for message in left] == [name]
