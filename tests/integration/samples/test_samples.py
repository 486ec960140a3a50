"""The programs of samples/: each event counts once, whatever happens to them."""

import json
import os
import runpy
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusSubQueue

from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import to_message
from tests.support.envelopes import an_envelope
from tests.support.servicebus import CONFIG, REPOSITORY, running_servicebus

WITHIN = 60.0
"""Seconds that a loaded machine has."""

SAMPLES = {
    "billing": "SELECT order_id FROM invoices WHERE NOT void",
    "shipping": "SELECT order_id FROM to_pack WHERE cancelled_at IS NULL",
}
"""The orders that stand, as each of them has noted."""

each_sample = pytest.mark.parametrize("name", SAMPLES)


@pytest.fixture
def service_bus() -> Iterator[str]:
    """The laptop's topics, where messages that nobody fetches stay as in Azure."""
    with running_servicebus(json.loads(CONFIG.read_text().replace('"PT2M"', '"PT1H"'))) as connection:
        yield connection


@dataclass(frozen=True)
class Sample:
    """One of the programs, while it runs; what it says goes to a file."""

    name: str
    store: Path
    process: subprocess.Popen[bytes]

    def noted(self) -> list[str]:
        """The orders in its store."""
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as books:
            return [row[0] for row in books.execute(SAMPLES[self.name])]

    def wait_until_said(self, text: str, times: int = 1) -> None:
        """Wait until it has said something so often, in all its lives."""
        deadline = time.monotonic() + WITHIN
        while (said := self.store.with_suffix(".log").read_text()).count(text) < times:
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)


@contextmanager
def running(name: str, folder: Path, connection: str) -> Iterator[Sample]:
    program, store = REPOSITORY / "samples" / name / f"{name}.py", folder / "store.db"
    environment = os.environ | {"SERVICEBUS_CONNECTION": connection}
    with (
        store.with_suffix(".log").open("ab") as log,
        subprocess.Popen([sys.executable, program, store], env=environment, stderr=log) as process,
    ):
        try:
            yield Sample(name, store, process)
        finally:
            process.kill()


def confirmed(order_id: UUID) -> Envelope:
    data = {"orderId": str(order_id), "customerId": str(uuid4()), "currency": "EUR", "total": "49.80"}
    return an_envelope("OrderConfirmedV1", order_id, 3, json.dumps(data))


def cancelled(order: Envelope) -> Envelope:
    data = json.loads(order.payload) | {"was": "Confirmed", "reason": None}
    event = replace(order, event_id=uuid4(), version=4, type="OrderCancelledV1", payload=json.dumps(data))
    return replace(event, occurred_at=order.occurred_at + timedelta(minutes=1))


def refunded(order_id: UUID) -> Envelope:
    data = {"orderId": str(order_id), "refundId": str(uuid4()), "currency": "EUR", "amount": "9.80", "refunded": "9.80"}
    order = confirmed(order_id)
    return replace(order, version=7, type="PaymentRefundedV1", payload=json.dumps(data))


def send(connection: str, *envelopes: Envelope, topic: str = "order-events", message_id: str | None = None) -> None:
    with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_topic_sender(topic) as sender,
    ):
        for envelope in envelopes:
            message = to_message(envelope, {"order-events": "ordering", "payment-events": "payments"}[topic])
            message.message_id = message_id or message.message_id
            sender.send_messages(message)


@each_sample
def test_an_order_is_noted_once_though_its_event_comes_twice_and_the_program_is_killed(
    name: str, tmp_path: Path, service_bus: str
) -> None:
    first, second = confirmed(uuid4()), confirmed(uuid4())
    send(service_bus, first)
    with running(name, tmp_path, service_bus) as sample:
        sample.wait_until_said(f"OrderConfirmedV1 of order {first.aggregate_id}")
        sample.process.send_signal(signal.SIGKILL)
    # Service Bus drops a second message of the same id, so it comes as a replay does: with an id of its own
    send(service_bus, first, message_id=str(uuid4()))
    send(service_bus, second)
    with running(name, tmp_path, service_bus) as sample:
        sample.wait_until_said("OrderConfirmedV1 of order", times=3)
        assert sorted(sample.noted()) == sorted([str(first.aggregate_id), str(second.aggregate_id)])


@each_sample
def test_an_order_that_is_cancelled_does_not_stand_though_its_confirmation_comes_again(
    name: str, tmp_path: Path, service_bus: str
) -> None:
    order, another, never = confirmed(uuid4()), confirmed(uuid4()), confirmed(uuid4())
    with running(name, tmp_path, service_bus) as sample:
        send(service_bus, order, cancelled(order), another, cancelled(never))
        sample.wait_until_said("OrderCancelledV1 of order", times=2)
        send(service_bus, order, message_id=str(uuid4()))
        sample.wait_until_said("OrderConfirmedV1 of order", times=3)
        assert sample.noted() == [str(another.aggregate_id)]


@each_sample
def test_an_order_whose_confirmation_was_a_dead_letter_does_not_stand_once_it_is_cancelled(
    name: str, tmp_path: Path, service_bus: str
) -> None:
    order, another = confirmed(uuid4()), confirmed(uuid4())
    send(service_bus, cancelled(order), order, another)
    with running(name, tmp_path, service_bus) as sample:
        sample.wait_until_said("OrderConfirmedV1 of order", times=2)
        assert sample.noted() == [str(another.aggregate_id)]


@each_sample
def test_an_order_that_is_confirmed_anew_stands_though_it_was_cancelled_before(
    name: str, tmp_path: Path, service_bus: str
) -> None:
    """The shop's database was restored to a time before the cancellation, whose dead letter somebody sends again."""
    order, never = confirmed(uuid4()), confirmed(uuid4())
    anew, of_never = (
        replace(each, event_id=uuid4(), occurred_at=each.occurred_at + timedelta(hours=1)) for each in (order, never)
    )
    cancellation = cancelled(order)
    send(service_bus, order, cancellation, anew, cancelled(never), of_never)
    send(service_bus, replace(cancellation, event_id=uuid4()), replace(order, event_id=uuid4()))
    with running(name, tmp_path, service_bus) as sample:
        sample.wait_until_said("OrderCancelledV1 of order", times=3)
        sample.wait_until_said("OrderConfirmedV1 of order", times=4)
        assert sorted(sample.noted()) == sorted([str(order.aggregate_id), str(never.aggregate_id)])
        if name == "billing":
            with closing(sqlite3.connect(sample.store)) as books:
                times = {row[0] for row in books.execute("SELECT confirmed_at FROM latest")}
            assert times == {anew.occurred_at.isoformat(), of_never.occurred_at.isoformat()}


STORED_BEFORE = {
    "billing": """
        CREATE TABLE invoices (
            order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, amount TEXT NOT NULL, currency TEXT NOT NULL,
            void INTEGER NOT NULL DEFAULT 0);
        INSERT INTO invoices VALUES ('00000000-0000-0000-0000-000000000001', 'c', '49.80', 'EUR', 0);""",
    "shipping": """
        CREATE TABLE to_pack (
            order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, confirmed_at TEXT NOT NULL, packed_at TEXT,
            cancelled_at TEXT);
        INSERT INTO to_pack VALUES ('00000000-0000-0000-0000-000000000001', 'c', '2026-11-01T12:00:00', NULL, NULL);
    """,
}


@each_sample
def test_a_store_that_was_made_before_late_confirmations_were_thought_of_goes_on(
    name: str, tmp_path: Path, service_bus: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db")) as books:
        books.executescript(STORED_BEFORE[name])
    order, never = confirmed(UUID(int=1)), confirmed(uuid4())
    send(service_bus, cancelled(never), never, cancelled(order))
    with running(name, tmp_path, service_bus) as sample:
        sample.wait_until_said("OrderCancelledV1 of order", times=2)
        sample.wait_until_said("OrderConfirmedV1 of order")
        assert sample.noted() == []


async def test_it_signs_in_as_an_identity_where_a_namespace_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICEBUS_NAMESPACE", "shop.servicebus.windows.net")
    monkeypatch.delenv("SERVICEBUS_CONNECTION", raising=False)
    billing, shipping = (runpy.run_path(str(REPOSITORY / "samples" / name / f"{name}.py")) for name in SAMPLES)
    async with AsyncExitStack() as open_:
        client = await billing["connected"](open_)
        assert client.fully_qualified_namespace == "shop.servicebus.windows.net"
    with ExitStack() as open_now:
        client = shipping["connected"](open_now)
        assert client.fully_qualified_namespace == "shop.servicebus.windows.net"


def test_an_invoice_has_the_amount_as_it_is_written(tmp_path: Path, service_bus: str) -> None:
    send(service_bus, confirmed(uuid4()))
    with running("billing", tmp_path, service_bus) as sample:
        sample.wait_until_said("OrderConfirmedV1 of order")
        with closing(sqlite3.connect(sample.store)) as books:
            assert books.execute("SELECT amount, currency FROM invoices").fetchall() == [("49.80", "EUR")]


def test_an_invoice_is_of_the_event_that_came_in_a_lost_ones_place(tmp_path: Path, service_bus: str) -> None:
    """The shop's database was restored: the order is changed, cancelled, or confirmed once more, with another id."""
    lost = confirmed(uuid4())
    anew = replace(lost, event_id=uuid4(), payload=lost.payload.replace("49.80", "12.40"))
    anew = replace(anew, occurred_at=lost.occurred_at + timedelta(hours=1))
    refund = refunded(lost.aggregate_id)
    refunded_anew = replace(refund, event_id=uuid4(), payload=refund.payload.replace("9.80", "2.40"))
    send(service_bus, lost, cancelled(lost), anew)
    send(service_bus, refund, refunded_anew, topic="payment-events")
    with running("billing", tmp_path, service_bus) as sample:
        sample.wait_until_said("OrderConfirmedV1 of order", times=2)
        sample.wait_until_said("PaymentRefundedV1 of order", times=2)
        with closing(sqlite3.connect(sample.store)) as books:
            assert books.execute("SELECT amount, void FROM invoices").fetchall() == [("12.40", 0)]
            assert books.execute("SELECT amount FROM credits").fetchall() == [("2.40",)]


def test_a_refund_is_credited_once_whether_or_not_its_order_has_been_billed(tmp_path: Path, service_bus: str) -> None:
    order_id = uuid4()
    refund = refunded(order_id)
    with running("billing", tmp_path, service_bus) as sample:
        send(service_bus, refund, topic="payment-events")
        sample.wait_until_said(f"PaymentRefundedV1 of order {order_id}")
        send(service_bus, confirmed(order_id))
        send(service_bus, refund, topic="payment-events", message_id=str(uuid4()))
        sample.wait_until_said(f"PaymentRefundedV1 of order {order_id}, again")
        sample.wait_until_said(f"OrderConfirmedV1 of order {order_id}")
        with closing(sqlite3.connect(sample.store)) as books:
            credits_ = books.execute("SELECT order_id, amount, currency FROM credits").fetchall()
            assert credits_ == [(str(order_id), "9.80", "EUR")]
        assert sample.noted() == [str(order_id)]


@each_sample
def test_a_message_that_cannot_be_read_is_set_aside_and_those_after_it_go_on(
    name: str, tmp_path: Path, service_bus: str
) -> None:
    order = confirmed(uuid4())
    broken = replace(order, payload="[]", event_id=uuid4())
    send(service_bus, broken, order)
    with running(name, tmp_path, service_bus) as sample:
        sample.wait_until_said("OrderConfirmedV1 of order")
        assert sample.noted() == [str(order.aggregate_id)]
    with (
        ServiceBusClient.from_connection_string(service_bus) as client,
        client.get_subscription_receiver("order-events", name, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver,
    ):
        [letter] = receiver.peek_messages(10)
    assert (letter.message_id, letter.dead_letter_reason) == (str(broken.event_id), "Unreadable")


@each_sample
def test_other_events_of_the_topic_do_not_reach_it(name: str, tmp_path: Path, service_bus: str) -> None:
    order = confirmed(uuid4())
    send(service_bus, replace(order, type="OrderCompletedV1", event_id=uuid4()), order)
    with running(name, tmp_path, service_bus) as sample:
        sample.wait_until_said("OrderConfirmedV1 of order")
        assert "OrderCompletedV1" not in sample.store.with_suffix(".log").read_text()
