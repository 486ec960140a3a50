"""A host whose consumers fail when they are told to, on a real engine, and its API."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from infra.local import issuer
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import ServiceBusTopic
from shared.frame.platform.settings import Settings
from shared.roles import Role
from tests.e2e.api import eventually
from tests.integration.local.host.records import Notes, Record
from tests.support.database import empty_database
from tests.support.envelopes import an_envelope
from tests.support.host import started_host
from tests.support.servicebus import running_servicebus

APP = Path(__file__).parent / "app"
TOPIC, FRAIL, SOUND = "product-events", "product-events/ordering", "product-events/product-views"


def events(count: int, aggregate_id: UUID | None = None) -> list[Envelope]:
    """An aggregate's first events."""
    aggregate_id = aggregate_id or uuid4()
    return [an_envelope("ProductRenamedV1", aggregate_id, version) for version in range(1, count + 1)]


@dataclass
class Bench:
    """The API, and the ways to make dead letters."""

    http: httpx.Client
    url: str
    token: str
    service_bus: str
    record: Record
    broken: Path

    def publish(self, *envelopes: Envelope) -> None:
        """Send events as a relay does."""
        topic = ServiceBusTopic(Settings(sql="", cosmos="", service_bus=self.service_bus), TOPIC, "catalog")
        topic.send(envelopes)
        topic._client.close()

    def send(self, message: ServiceBusMessage) -> None:
        """Send what need not be an event."""
        with (
            ServiceBusClient.from_connection_string(self.service_bus) as client,
            client.get_topic_sender(TOPIC) as sender,
        ):
            sender.send_messages(message)

    def breaks_on(self, *aggregate_ids: UUID) -> None:
        """Let the frail consumer fail on these aggregates, and on no other."""
        draft = self.broken.with_suffix(".draft")
        draft.write_text("\n".join(map(str, aggregate_ids)))
        draft.replace(self.broken)

    def dead(self, count: int = 1) -> list[Envelope]:
        """Events that the frail consumer has failed on, until Service Bus gave them up; it would fail again."""
        envelopes = events(count)
        self.breaks_on(envelopes[0].aggregate_id)
        self.publish(*envelopes)
        self.await_dead(envelopes[0].aggregate_id, count)
        return envelopes

    def await_dead(self, aggregate_id: UUID, count: int) -> None:
        """Wait until so many of an aggregate's events are dead letters."""
        eventually(lambda: len(self.listed(aggregate_id)) == count, "Service Bus gives up")

    def listing(self, subscription: str = FRAIL, **parameters: int) -> dict[str, Any]:
        """What the API lists of a subscription."""
        answer = self.http.get("/ops/dead-letters", params={"subscription": subscription, **parameters})
        assert answer.status_code == 200, answer.text
        [listing] = answer.json()["subscriptions"]
        assert isinstance(listing, dict)
        return listing

    def listed(self, aggregate_id: UUID, subscription: str = FRAIL) -> list[dict[str, Any]]:
        """The dead letters that are about an aggregate."""
        items = self.listing(subscription)["items"]
        return [item for item in items if item["event"] and item["event"]["aggregateId"] == str(aggregate_id)]

    def replay(self, **body: Any) -> dict[str, Any]:
        """Replay into the frail consumer's subscription, unless another one is given."""
        return self._post("replay", {"subscription": FRAIL, **body})

    def discard(self, **body: Any) -> dict[str, Any]:
        """Discard from the frail consumer's subscription."""
        return self._post("discard", {"subscription": FRAIL, **body})

    def audit(self, take: int = 50) -> list[dict[str, Any]]:
        """What was done last, newest first."""
        answer = self.http.get("/ops/audit", params={"take": take})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def taken_in(self, aggregate: list[Envelope], consumer: str) -> list[int]:
        """The versions that a consumer has taken in, in that order."""
        ids = {str(envelope.event_id) for envelope in aggregate}
        return [note["version"] for note in self._notes() if note["consumer"] == consumer and note["id"] in ids]

    def _notes(self) -> Notes:
        return self.record.notes()

    def _post(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.post(f"/ops/dead-letters/{what}", json=body)
        assert answer.status_code == 200, answer.text
        outcome: dict[str, Any] = answer.json()
        return outcome


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("operations")
    record, broken = folder / "record", folder / "broken"
    broken.touch()
    sql = empty_database(folder)
    with running_servicebus() as service_bus:
        settings = {
            "SqlConnection": sql,
            "ServiceBusConnection": service_bus,
            "CosmosConnection": "AccountEndpoint=http://127.0.0.1:1/;AccountKey=eA==;",
            "WatchSchedule": "0 0 0 1 1 *",
            "RECORD": str(record),
            "BROKEN": str(broken),
        }
        key = issuer.make_key(folder)
        with started_host(APP, os.environ | settings, "--issuer-key", str(key)) as host:
            url = host.wait_for_log(r"listening on (http://\S+)")[1]
            token = issuer.issue(issuer.key_of(folder), [Role.OPS])
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=f"{url}/api", headers=headers, timeout=60) as http:
                yield Bench(http, url, token, service_bus, Record(record), broken)


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    """The bench, without dead letters before and after a test."""
    yield running
    running.breaks_on()
    for subscription in (FRAIL, SOUND):
        while items := running.listing(subscription)["items"]:
            running.replay(subscription=subscription)
            numbers = [item["sequenceNumber"] for item in items if not item["event"]]
            if numbers:
                running.discard(subscription=subscription, messages=numbers, why="the test is over")
