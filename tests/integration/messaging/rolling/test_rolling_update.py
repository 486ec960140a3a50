"""Two releases on one subscription, in hosts of their own: the one before does not know what the later one writes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusReceivedMessage, ServiceBusSubQueue

from shared.frame.messaging.dead_letters import DeadLetters
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import ServiceBusTopic
from shared.frame.operations.dead_letter_replay import choose, replaying, settle
from shared.frame.platform.settings import Settings
from tests.integration.local.host.records import Notes, Record
from tests.support.envelopes import an_envelope
from tests.support.host import HostProcess, running_host_process
from tests.support.servicebus import running_servicebus

APP = Path(__file__).parent / "app"
TOPIC, SUBSCRIPTION = "product-events", "ordering"


@dataclass
class Subscribed:
    """A subscription, and what its consumers have noted."""

    service_bus: str
    record: Record

    def runs(self, release: int) -> AbstractContextManager[HostProcess]:
        """Run an instance of a release."""
        settings = {"ServiceBusConnection": self.service_bus, "RECORD": str(self.record.path), "RELEASE": str(release)}
        return running_host_process(APP, settings)

    def publish(self, *types: str) -> None:
        """Publish an event of each type."""
        thing = uuid4()
        topic = ServiceBusTopic(Settings(sql="", cosmos="", service_bus=self.service_bus), TOPIC, "things")
        topic.send(
            [an_envelope(each, thing, version, f'{{"thingId": "{thing}"}}') for version, each in enumerate(types, 1)]
        )
        topic._client.close()

    def dead_letters(self) -> list[ServiceBusReceivedMessage]:
        """What Service Bus has given up."""
        with (
            ServiceBusClient.from_connection_string(self.service_bus) as client,
            client.get_subscription_receiver(TOPIC, SUBSCRIPTION, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as queue,
        ):
            return queue.peek_messages(100)


@pytest.fixture
def subscribed(tmp_path: Path) -> Iterator[Subscribed]:
    with running_servicebus() as service_bus:
        yield Subscribed(service_bus, Record(tmp_path / "record"))


def taken(notes: Notes, release: int) -> list[str]:
    return [note["taken"] for note in notes if note["release"] == release and "taken" in note]


def held(notes: Notes) -> float:
    """Seconds for which the releases would have held messages."""
    return float(sum(note.get("held", 0) for note in notes))


def test_a_type_that_the_release_before_does_not_know_waits_for_the_one_that_does(subscribed: Subscribed) -> None:
    with subscribed.runs(release=1):
        subscribed.publish("ThingMendedV1", "ThingAddedV1")
        notes = subscribed.record.wait(lambda notes: held(notes) > 60)
        assert taken(notes, release=1) == ["ThingAddedV1"], "which is held up by nothing"
        assert subscribed.dead_letters() == []
        with subscribed.runs(release=2):
            subscribed.record.wait(lambda notes: taken(notes, release=2) == ["ThingMendedV1"])
    assert subscribed.dead_letters() == []


async def test_a_type_that_no_release_knows_is_a_dead_letter_in_the_end_and_can_be_replayed(
    subscribed: Subscribed,
) -> None:
    with subscribed.runs(release=2):
        subscribed.publish("ThingForgottenV1", "ThingMendedV1")
        notes = subscribed.record.wait(lambda notes: len(notes) == 11 and len(subscribed.dead_letters()) == 1)
    assert taken(notes, release=2) == ["ThingMendedV1"]
    assert held(notes) == 635 + 120
    [letter] = subscribed.dead_letters()
    assert (letter.subject, letter.delivery_count) == ("ThingForgottenV1", 10)
    assert letter.dead_letter_reason == "MaxDeliveryCountExceeded"

    replayed: list[str] = []

    async def know(envelope: Envelope) -> None:
        replayed.append(envelope.type)

    opened = DeadLetters(Settings(sql="", cosmos="", service_bus=subscribed.service_bus))
    async with opened.of(TOPIC, SUBSCRIPTION) as queue:
        await settle("s", queue, await choose(queue, None), replaying(know))
    await opened.close()
    assert (replayed, subscribed.dead_letters()) == (["ThingForgottenV1"], [])
