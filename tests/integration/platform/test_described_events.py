"""Every published event, sent as the system sends it and received as another system does: it is as it is described."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusReceivedMessage

from shared.frame.http.asyncapi import document
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import ServiceBusTopic, to_message
from shared.frame.platform.settings import Settings
from tests.support.app import app_globals
from tests.support.described import unlike_the_description
from tests.support.servicebus import running_servicebus
from tests.support.stack import ROOT

CONTEXTS = {context.name: context for context in app_globals()["contexts"]}
DESCRIBED = document(CONTEXTS.values())
GOLDEN = {
    path.stem: (path.parts[-3], json.loads(path.read_text(encoding="utf-8"))["payload"])
    for path in (ROOT / "tests/unit").glob("*/golden/*.json")
}
TOPIC = "events"
FILTER = (
    "cloudEvents_type = 'OrderConfirmedV1' AND cloudEvents_source = '/ordering' AND cloudEvents_aggregateversion > 2"
)


@pytest.fixture
def service_bus() -> Iterator[str]:
    rules = [{"Name": "some", "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": FILTER}}}]
    topic = {"Name": TOPIC, "Subscriptions": [{"Name": "all"}, {"Name": "some", "Rules": rules}]}
    with running_servicebus({"UserConfig": {"Namespaces": [{"Name": "n", "Topics": [topic]}]}}) as connection:
        yield connection


def envelope(name: str, version: int = 7) -> Envelope:
    return Envelope(
        event_id=uuid4(),
        aggregate_id=uuid4(),
        version=version,
        type=name,
        payload=json.dumps(GOLDEN[name][1]),
        occurred_at=datetime.now(UTC),
        command_id="key-1",
        correlation_id="conversation-1",
        causation_id="cause-1",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" if version % 2 else None,
        actor="somebody",
    )


def send(connection: str, context: str, *envelopes: Envelope) -> None:
    topic = ServiceBusTopic(Settings(sql="", cosmos="", service_bus=connection), TOPIC, context)
    topic.send(envelopes)
    topic._client.close()


def received(connection: str, subscription: str, count: int) -> list[ServiceBusReceivedMessage]:
    found: list[ServiceBusReceivedMessage] = []
    with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_subscription_receiver(TOPIC, subscription) as receiver,
    ):
        while len(found) < count:
            some = receiver.receive_messages(count, max_wait_time=10)
            assert some, f"{len(found)} of {count} came"
            for message in some:
                receiver.complete_message(message)
            found += some
    return found


def test_each_event_is_on_the_wire_what_the_description_says(service_bus: str) -> None:
    for name, (context, _) in GOLDEN.items():
        send(service_bus, context, envelope(name), envelope(name, version=8))
    messages = received(service_bus, "all", 2 * len(GOLDEN))
    assert {message.subject for message in messages} == GOLDEN.keys()
    assert [fault for message in messages for fault in unlike_the_description(DESCRIBED, message)] == []


def test_rules_can_filter_on_the_attributes_of_the_cloud_event(service_bus: str) -> None:
    wanted = envelope("OrderConfirmedV1", 3)
    send(service_bus, "ordering", replace(wanted, event_id=uuid4(), version=2), wanted)
    send(service_bus, "ordering", envelope("OrderCompletedV1"))
    send(service_bus, "catalog", replace(wanted, event_id=uuid4()))
    received(service_bus, "all", 4)
    assert [message.message_id for message in received(service_bus, "some", 1)] == [str(wanted.event_id)]


class Received:
    """A message that was received, as far as the description speaks of it."""

    def __init__(self, **changes: Any) -> None:
        sent = to_message(envelope("OrderConfirmedV1"), "ordering")
        self.subject, self.content_type = sent.subject, sent.content_type
        self.application_properties = dict(sent.application_properties or {}) | changes.pop("properties", {})
        body = json.loads(b"".join(sent.body)) | changes
        self.body = [json.dumps(body).encode()]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"properties": {"cloudEvents_aggregateversion": "7"}}, "headers"),
        ({"properties": {"secret": "1"}}, "headers has secret"),
        ({"specversion": "0.3"}, "payload/specversion"),
        ({"data": {"orderId": "no id"}}, "payload/data"),
        ({"more": 1}, "payload has more"),
    ],
)
def test_what_is_not_as_described_is_told(changes: Any, told: str) -> None:
    faults = unlike_the_description(DESCRIBED, Received(**changes))  # type: ignore[arg-type]  # as far as it is read
    assert faults
    assert any(told in fault for fault in faults), faults
