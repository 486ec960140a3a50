"""What a context's outbox does when its first users come at the same time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue

import pytest
import sqlalchemy as sa

from shared.frame.messaging.topics import ServiceBusTopic
from shared.frame.platform import telemetry
from shared.frame.platform.settings import Settings
from shared.frame.write_side import outbox
from shared.frame.write_side.outbox import Outbox
from shared.frame.write_side.relay import TopicUnreachable
from shared.ordering.tables import LOG, SCHEMA
from tests.support.shop import Shop

NOWHERE = Settings(sql="", cosmos="", service_bus="Endpoint=sb://127.0.0.1:1/;SharedAccessKeyName=n;SharedAccessKey=k")


def test_a_commit_wakes_the_publisher_of_its_context_which_runs_the_relay_of_its_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: SimpleQueue[tuple[str, str]] = SimpleQueue()

    class WatchedRelay:
        def __init__(self, _engine: object, _log: object, topic: ServiceBusTopic) -> None:
            self.topic = topic._topic

        def run(self, _until: datetime | None) -> int:
            ran.put((threading.current_thread().name, self.topic))
            return 0

    monkeypatch.setattr(outbox, "Relay", WatchedRelay)
    Outbox(NOWHERE, sa.create_engine("sqlite://"), LOG, SCHEMA, topic="order-events").wake()
    assert ran.get(timeout=10) == ("publisher-ordering", "order-events")


def test_the_timer_and_the_first_commit_share_one_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one's senders would keep their connections until the process ends."""
    made, both = [], threading.Barrier(2)

    class SlowRelay:
        def __init__(self, *_: object) -> None:
            time.sleep(0.05)
            made.append(self)

        def run(self, _until: datetime | None) -> int:
            return 0

    monkeypatch.setattr(outbox, "Relay", SlowRelay)
    ours = Outbox(NOWHERE, sa.create_engine("sqlite://"), LOG, SCHEMA, topic="order-events")

    def publish() -> None:
        both.wait()
        ours.publish()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(publish), threads.submit(publish)]:
            done.result()
    assert len(made) == 1


class Scripted:
    """A relay whose runs end as they are told to."""

    def __init__(self, *ends: int | Exception) -> None:
        self.ends = list(ends)
        self.untils: list[datetime | None] = []

    def run(self, until: datetime | None) -> int:
        """End as the next entry says."""
        self.untils.append(until)
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What telemetry is told of the outbox."""
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr(telemetry, "outbox", lambda *values: told.append(values))
    return told


def swept(shop: Shop, monkeypatch: pytest.MonkeyPatch, *ends: int | Exception) -> Outbox:
    ours = Outbox(Settings(sql="", cosmos="", service_bus=""), shop.ordering_engine, LOG, SCHEMA, topic="order-events")
    monkeypatch.setattr(ours, "_relay", Scripted(*ends))
    return ours


def test_an_outage_is_waited_out_by_the_sweep_and_what_is_left_is_told_all_the_same(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, told: list[tuple[object, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    shop.order()
    ours = swept(shop, monkeypatch, TopicUnreachable("away"), 0)
    ours.sweep()
    ours.sweep()
    assert caplog.text.count("ordering: publishing waits: away") == 1
    assert [values[:2] for values in told] == [("ordering", 1)] * 2


def test_a_sweep_that_fails_otherwise_says_so_and_the_next_one_runs(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, told: list[tuple[object, ...]]
) -> None:
    ours = swept(shop, monkeypatch, LookupError("a bug"), 0)
    with pytest.raises(LookupError):
        ours.sweep()
    ours.sweep()
    assert len(told) == 2, "what the failure left is told too"


def test_a_sweep_whose_time_is_up_hands_the_rest_to_the_publisher(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, told: list[tuple[object, ...]]
) -> None:
    woken: list[None] = []
    ours = swept(shop, monkeypatch, 0, 100)
    monkeypatch.setattr(ours, "wake", lambda: woken.append(None))
    before = datetime.now(UTC)
    ours.sweep()
    assert woken == [], "it was done in time"

    monkeypatch.setattr(outbox, "SWEEP", timedelta(0))
    ours.sweep()
    assert woken == [None]
    first, second = ours._relay.untils  # type: ignore[attr-defined]  # it is scripted
    assert second <= datetime.now(UTC) < before + timedelta(minutes=1) > first
    assert len(told) == 2
