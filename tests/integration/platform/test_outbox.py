"""What a context's outbox does when its first users come at the same time."""

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any, cast, override
from unittest import mock

import pytest
import sqlalchemy as sa

from shared.frame.messaging.topics import ServiceBusTopic
from shared.frame.platform import telemetry
from shared.frame.platform.settings import Settings
from shared.frame.sql.reading import read_from
from shared.frame.write_side import outbox, relay
from shared.frame.write_side.claims import Claims
from shared.frame.write_side.outbox import Outbox
from shared.frame.write_side.relay import Relay, TopicUnreachable
from shared.ordering.tables import LOG, SCHEMA
from tests.support.shop import Shop
from tests.support.topic import KeptTopic

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

        def again_in(self, since: datetime) -> None:
            """Nothing is left."""

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
        self.untils: list[datetime] = []
        self.left: timedelta | None = None

    def again_in(self, since: datetime) -> timedelta | None:  # noqa: ARG002  # as of a relay
        """Tell what the last run has left."""
        return self.left

    def run(self, until: datetime) -> int:
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


class Swept(Outbox):
    """An outbox whose timer's runs end as they are told to, and which counts how often the publisher is woken."""

    def __init__(self, shop: Shop, *ends: int | Exception) -> None:
        nowhere = Settings(sql="", cosmos="", service_bus="")
        super().__init__(nowhere, shop.ordering_engine, LOG, SCHEMA, topic="order-events")
        self.scripted = Scripted(*ends)
        self._relay = self.scripted  # type: ignore[assignment]  # it is scripted
        self.woken = 0

    @override
    def wake(self) -> None:
        self.woken += 1


def test_an_outage_is_waited_out_by_the_sweep_and_what_is_left_is_told_all_the_same(
    shop: Shop, told: list[tuple[object, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    shop.order()
    ours = Swept(shop, TopicUnreachable("away"), 0)
    ours.sweep()
    ours.sweep()
    assert ours.woken == 1, "the publisher goes on, for the timer may come once a day"
    assert caplog.text.count("ordering: publishing waits: away") == 1
    assert [values[:2] for values in told] == [("ordering", 1)] * 2


def test_a_sweep_that_fails_otherwise_says_so_and_the_next_one_runs(shop: Shop, told: list[tuple[object, ...]]) -> None:
    ours = Swept(shop, LookupError("a bug"), 0)
    with pytest.raises(LookupError):
        ours.sweep()
    ours.sweep()
    assert ours.woken == 1
    assert len(told) == 2, "what the failure left is told too"


def test_a_sweep_whose_time_is_up_hands_the_rest_to_the_publisher(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, told: list[tuple[object, ...]]
) -> None:
    ours = Swept(shop, 0, 100)
    before = datetime.now(UTC)
    ours.sweep()
    assert ours.woken == 0, "it was done in time"

    monkeypatch.setattr(outbox, "SWEEP", timedelta(0))
    ours.sweep()
    assert ours.woken == 1
    first, second = ours.scripted.untils
    assert second <= datetime.now(UTC) < before + timedelta(minutes=1) > first
    assert len(told) == 2


@pytest.mark.usefixtures("told")
def test_a_sweep_that_could_not_send_an_aggregate_leaves_its_next_try_to_the_publisher(shop: Shop) -> None:
    ours = Swept(shop, 3)
    ours.scripted.left = timedelta(seconds=10)
    ours.sweep()
    assert ours.woken == 1


class Lost(Exception):
    """What the driver says of a connection that broke."""

    def __init__(self) -> None:
        super().__init__("08S01", "the answer is lost")


def answer_lost(of: int) -> Callable[..., Any]:
    """Make a claim that is committed, but whose answer is lost the given time that it is made."""
    real, made = Claims.claim, itertools.count(1)

    def claim(self: Claims, connection: sa.Connection, *arguments: Any, **named: Any) -> Any:
        found = real(self, connection, *arguments, **named)
        if next(made) == of:
            connection.commit()
            raise sa.exc.OperationalError("", {}, Lost(), connection_invalidated=True)
        return found

    return claim


def fails(at: int, error: Exception) -> Callable[..., Any]:
    """Make a claim that fails before it has claimed or settled anything, the given time that it is made."""
    real, made = Claims.claim, itertools.count(1)

    def claim(self: Claims, *arguments: Any, **named: Any) -> Any:
        if next(made) == at:
            raise error
        return real(self, *arguments, **named)

    return claim


@pytest.mark.parametrize(
    ("claim", "sendings"),
    [
        (answer_lost(of=1), 1),  # at once again, and nothing is free
        (fails(2, sa.exc.OperationalError("", {}, Exception("gone"))), 2),  # what was sent cannot be noted
        (fails(2, sa.exc.TimeoutError("no connection was free")), 2),
    ],
    ids=["answer-lost", "database-gone", "pool-empty"],
)
def test_what_a_failed_run_still_holds_is_published_when_its_claim_has_run_out_without_another_commit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, claim: Callable[..., Any], sendings: int
) -> None:
    monkeypatch.setattr(relay, "CLAIM", timedelta(seconds=2))
    shop.order()
    topic = KeptTopic()
    ours = Outbox(NOWHERE, shop.ordering_engine, LOG, SCHEMA, topic="order-events")
    monkeypatch.setattr(ours, "_relay", Relay(shop.ordering_engine, LOG, topic))
    with mock.patch.object(Claims, "claim", claim):
        ours.wake()
        published(shop)
    assert list(topic.versions().values()) == [[1] * sendings]


def test_what_could_not_be_sent_is_tried_again_after_a_while_without_another_commit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "SETBACK", timedelta(seconds=0.2))
    shop.order()
    errors: list[Exception] = [ValueError("over quota"), ValueError("over quota")]
    topic = KeptTopic(lambda _: errors.pop() if errors else None)
    ours = Outbox(NOWHERE, shop.ordering_engine, LOG, SCHEMA, topic="order-events")
    monkeypatch.setattr(ours, "_relay", Relay(shop.ordering_engine, LOG, topic))
    ours.wake()
    published(shop)
    assert list(topic.versions().values()) == [[1]]


def published(shop: Shop) -> None:
    """Wait until everything is, and the publisher's run has ended: its connection must not outlive the shop."""
    deadline = time.monotonic() + 30
    engine = shop.ordering_engine
    while read_from(engine, LOG.claims.unpublished) != (0, None) or cast("sa.QueuePool", engine.pool).checkedout():
        assert time.monotonic() < deadline, "nobody came for it"
        time.sleep(0.02)
