"""The relay publishes everything, in order for each aggregate, however many relays run and whatever fails."""

import itertools
import logging
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import override
from unittest import mock
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.customers.events import CustomerRegisteredV1, CustomerRenamedV1
from shared.customers.tables import LOG
from shared.frame.messaging.envelope import Envelope, Metadata
from shared.frame.write_side.event_log import AT_ONCE, Settled
from shared.frame.write_side.relay import CLAIM, HEADS, SENDERS, SETBACK, Relay, Topic, TopicUnreachable
from shared.frame.write_side.unit_of_work import UnitOfWork
from tests.support.database import needs_sqlite
from tests.support.shop import Shop, rows
from tests.support.topic import KeptTopic


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


@pytest.fixture
def clock() -> Clock:
    return Clock()


def history(shop: Shop, length: int, after: int = 0, aggregate_id: UUID | None = None) -> UUID:
    """Give a customer this many events more, in a transaction each."""
    customer_id = aggregate_id or uuid4()
    for version in range(after, after + length):
        event = (
            CustomerRenamedV1(customer_id, f"Ada {version}")
            if version
            else CustomerRegisteredV1(customer_id, "Ada", "ada@example.org")
        )
        with UnitOfWork(shop.customers_engine) as work:
            LOG.append(work, customer_id, version, [event], Metadata())
            work.commit()
    return customer_id


def unpublished(shop: Shop) -> list[tuple[object, object]]:
    return [
        (row["aggregate_id"], row["aggregate_version"])
        for row in rows(shop.customers_engine, LOG.table)
        if row["published_at"] is None
    ]


def relay(shop: Shop, topic: Topic, clock: Clock) -> Relay[object]:
    return Relay(shop.customers_engine, LOG, topic, clock)  # type: ignore[arg-type]  # of whatever events


def test_everything_unpublished_is_sent_once_and_in_order(shop: Shop, clock: Clock) -> None:
    ada, bob = history(shop, 3), history(shop, 2)
    topic = KeptTopic()
    assert relay(shop, topic, clock).run() == 5
    assert topic.versions() == {ada: [1, 2, 3], bob: [1, 2]}
    assert unpublished(shop) == []
    assert relay(shop, topic, clock).run() == 0


def test_what_is_sent_is_what_the_log_holds_without_what_it_says_of_a_person(shop: Shop, clock: Clock) -> None:
    ada = history(shop, 2)
    topic = KeptTopic()
    relay(shop, topic, clock).run()
    with shop.customers_engine.connect() as connection:
        logged = LOG.history(connection, ada)
    assert [LOG.codec.open(envelope).event for envelope in topic.sent] == [
        CustomerRegisteredV1(ada, name="withheld", email="withheld"),
        CustomerRenamedV1(ada, name="withheld"),
    ]
    assert [replace(envelope, payload="") for envelope in topic.sent] == [
        replace(recorded.envelope, payload="") for recorded in logged
    ]


def test_more_aggregates_than_one_claim_takes_are_all_sent(shop: Shop, clock: Clock) -> None:
    for _ in range(HEADS + 3):
        history(shop, 1)
    topic = KeptTopic()
    assert relay(shop, topic, clock).run() == HEADS + 3
    assert len(topic.sent) == HEADS + 3


def test_a_run_ends_when_its_time_is_up_and_leaves_the_rest_to_the_next_one(shop: Shop, clock: Clock) -> None:
    for _ in range(HEADS + 3):
        history(shop, 1)

    def late(_: Sequence[Envelope]) -> None:
        clock.now = until

    until, topic = clock.now + timedelta(seconds=30), KeptTopic(late)
    assert relay(shop, topic, clock).run(until) == HEADS
    assert len(unpublished(shop)) == 3, "what was sent is noted"
    assert relay(shop, topic, clock).run() == 3
    assert len(topic.sent) == HEADS + 3


def test_a_backlog_that_cannot_be_sent_and_is_always_due_again_does_not_keep_a_run_from_its_end(
    shop: Shop, clock: Clock
) -> None:
    for _ in range(HEADS + 1):
        history(shop, 1)
    tries: SimpleQueue[None] = SimpleQueue()

    def slow(_: Sequence[Envelope]) -> Exception:
        tries.put(None)
        clock.move(SETBACK * 2)
        return TopicUnreachable("the run did not end") if tries.qsize() > 5 * HEADS else ValueError("too large")

    assert relay(shop, KeptTopic(slow), clock).run(clock.now + SETBACK * 3 * HEADS) == 0
    assert tries.qsize() > HEADS + 1, "some were due again"
    assert len(unpublished(shop)) == HEADS + 1


def test_a_long_history_is_sent_whole_and_in_order_in_claims_of_its_share(shop: Shop, clock: Clock) -> None:
    ada, bob = uuid4(), history(shop, 1)
    with UnitOfWork(shop.customers_engine) as work:
        renamed = [CustomerRenamedV1(ada, f"Ada {version}") for version in range(2 * AT_ONCE + 50)]
        LOG.append(work, ada, 0, renamed, Metadata())
        work.commit()
    sendings: SimpleQueue[int] = SimpleQueue()
    topic = KeptTopic(lambda envelopes: sendings.put(len(envelopes)))
    assert relay(shop, topic, clock).run() == len(renamed) + 1
    assert topic.versions() == {ada: list(range(1, len(renamed) + 1)), bob: [1]}
    assert sorted(sendings.get() for _ in range(sendings.qsize())) == [1, 50, AT_ONCE, AT_ONCE]
    assert unpublished(shop) == []


class Crowded(Topic):
    """A topic that answers nobody before so many send at the same time as may."""

    def __init__(self) -> None:
        self.all_there = threading.Barrier(SENDERS)
        self.threads: set[str] = set()

    @override
    def send(self, envelopes: Sequence[Envelope]) -> None:
        self.threads.add(threading.current_thread().name)
        self.all_there.wait(10)


def test_so_many_aggregates_are_sent_at_the_same_time_and_no_more(shop: Shop, clock: Clock) -> None:
    for _ in range(2 * SENDERS):
        history(shop, 1)
    topic = Crowded()
    assert relay(shop, topic, clock).run() == 2 * SENDERS
    assert topic.threads == {f"relay_{number}" for number in range(SENDERS)}


def test_several_relays_at_once_send_each_event_once_and_in_order(shop: Shop, clock: Clock) -> None:
    expected = {history(shop, length): list(range(1, length + 1)) for length in (1, 2, 3, 5, 8) * 4}
    topic, barrier = KeptTopic(), threading.Barrier(4)

    def run(_: int) -> int:
        barrier.wait()
        return relay(shop, topic, clock).run()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(4))) == sum(map(len, expected.values()))
    assert topic.versions() == expected


def test_relays_that_run_while_commands_commit_keep_each_aggregates_order(shop: Shop, clock: Clock) -> None:
    customers = [history(shop, 1) for _ in range(4)]
    topic, done = KeptTopic(), threading.Event()

    def run(_: int) -> None:
        while not done.is_set():
            relay(shop, topic, clock).run()

    with ThreadPoolExecutor(3) as relays:
        running = [relays.submit(run, number) for number in range(3)]
        for version in range(1, 10):
            for customer in customers:
                history(shop, 1, after=version, aggregate_id=customer)
        done.set()
        for each in running:
            each.result()
    relay(shop, topic, clock).run()
    assert topic.versions() == {customer: list(range(1, 11)) for customer in customers}


def test_a_later_event_is_not_sent_while_another_relay_holds_the_earlier_one(shop: Shop, clock: Clock) -> None:
    ada, bob = history(shop, 1), history(shop, 1)
    topic = KeptTopic()
    with shop.customers_engine.begin() as connection:  # a relay that is busy sending
        claimed = [envelope.aggregate_id for _, envelope in LOG.claim(connection, clock.now, clock.now + CLAIM, most=1)]
    assert claimed == [ada]
    history(shop, 2, after=1, aggregate_id=ada)

    assert relay(shop, topic, clock).run() == 1
    assert topic.versions() == {bob: [1]}

    clock.move(CLAIM + timedelta(seconds=1))  # it has died
    assert relay(shop, topic, clock).run() == 3
    assert topic.versions()[ada] == [1, 2, 3]


def test_a_relay_that_dies_between_sending_and_noting_it_leads_to_a_second_sending_of_the_same_events(
    shop: Shop, clock: Clock
) -> None:
    history(shop, 2)
    topic = KeptTopic()
    dying = relay(shop, topic, clock)

    with (
        mock.patch.object(Relay, "_settled", side_effect=RuntimeError("killed")),
        pytest.raises(RuntimeError, match="killed"),
    ):
        dying.run()
    first = list(topic.sent)
    assert len(first) == 2

    assert relay(shop, topic, clock).run() == 0, "the dead relay's claim holds"
    clock.move(CLAIM + timedelta(seconds=1))
    assert relay(shop, topic, clock).run() == 2
    assert topic.sent == first * 2  # the message id is the event's, so Service Bus drops the second


def test_an_outage_is_reported_and_keeps_everything_free_to_be_sent_at_once_when_it_is_over(
    shop: Shop, clock: Clock
) -> None:
    ada, bob = history(shop, 2), history(shop, 1)
    topic = KeptTopic(lambda _: TopicUnreachable("away"))
    with pytest.raises(TopicUnreachable, match="away"):
        relay(shop, topic, clock).run()
    assert len(unpublished(shop)) == 3

    topic.fail = lambda _: None
    clock.move(timedelta(microseconds=1))
    assert relay(shop, topic, clock).run() == 3
    assert topic.versions() == {ada: [1, 2], bob: [1]}


@pytest.mark.parametrize(
    "gone",
    [sa.exc.OperationalError("", {}, Exception("gone")), sa.exc.TimeoutError("no connection was free")],
    ids=["gone", "pool-empty"],
)
def test_an_outage_is_reported_when_the_database_goes_too_and_the_claim_runs_out(
    shop: Shop, clock: Clock, gone: Exception
) -> None:
    ada, database = history(shop, 2), mock.patch.object(sa.Engine, "begin", side_effect=gone)

    def fail(_: Sequence[Envelope]) -> Exception:
        database.start()
        return TopicUnreachable("away")

    topic = KeptTopic(fail)
    try:
        with pytest.raises(TopicUnreachable, match="away"):
            relay(shop, topic, clock).run()
    finally:
        database.stop()
    topic.fail = lambda _: None
    assert relay(shop, topic, clock).run() == 0, "the claim holds"
    clock.move(CLAIM + timedelta(seconds=1))
    assert relay(shop, topic, clock).run() == 2
    assert topic.versions() == {ada: [1, 2]}


@needs_sqlite("a server's driver fails within SQLAlchemy, and settles in a request of its own")
def test_an_outage_is_reported_when_what_came_of_it_cannot_be_written_down(shop: Shop, clock: Clock) -> None:
    """SQLite's driver fails beneath SQLAlchemy, which is no other error to those who know SQLAlchemy's."""
    history(shop, 1)
    full = mock.Mock(side_effect=[True, sqlite3.OperationalError("database or disk is full")])
    topic = KeptTopic(lambda _: TopicUnreachable("away"))
    with mock.patch.object(LOG.statements.release, "run", full), pytest.raises(TopicUnreachable, match="away"):
        relay(shop, topic, clock).run()
    with (
        mock.patch.object(LOG.statements.release, "run", side_effect=sqlite3.OperationalError("disk is full")),
        shop.customers_engine.begin() as connection,
        pytest.raises(sa.exc.OperationalError),
    ):
        LOG.settle(connection, Settled())


def test_events_that_one_insert_has_numbered_in_another_order_are_sent_in_their_own(shop: Shop, clock: Clock) -> None:
    ada, topic, log = history(shop, 3), KeptTopic(), LOG.table
    with shop.customers_engine.begin() as connection:
        second = log.c.aggregate_version == 2
        row = dict(connection.execute(sa.select(log).where(second)).mappings().one())
        connection.execute(sa.delete(log).where(second))
        del row["sequence"]
        connection.execute(sa.insert(log), row)  # gets the newest number
    assert relay(shop, topic, clock).run() == 3
    assert topic.versions() == {ada: [1, 2, 3]}


def test_a_topic_that_cannot_be_reached_is_not_tried_for_all_that_is_claimed(shop: Shop, clock: Clock) -> None:
    for _ in range(3 * SENDERS):
        history(shop, 1)
    tries = itertools.count(1)
    first_ones = threading.Barrier(SENDERS)

    def fail(_envelopes: Sequence[Envelope]) -> Exception:
        if next(tries) <= SENDERS:
            first_ones.wait(10)
        return TopicUnreachable("away")

    with pytest.raises(TopicUnreachable, match="away"):
        relay(shop, KeptTopic(fail), clock).run()
    assert next(tries) <= 2 * SENDERS, "each sender may begin once more before it hears of the others"
    assert len(unpublished(shop)) == 3 * SENDERS


def test_aggregates_for_which_the_topic_cannot_be_reached_do_not_starve_others(shop: Shop, clock: Clock) -> None:
    stuck = {history(shop, 1) for _ in range(SENDERS - 1)}
    others = {history(shop, 1) for _ in range(2 * SENDERS)}
    topic = KeptTopic(lambda sent: TopicUnreachable("away") if sent[0].aggregate_id in stuck else None)
    with pytest.raises(TopicUnreachable):
        relay(shop, topic, clock).run()
    assert topic.versions().keys() == others


def test_what_was_sent_before_an_outage_began_is_not_sent_again(shop: Shop, clock: Clock) -> None:
    ada, bob = history(shop, 2), history(shop, 1)
    ada_has_begun = threading.Event()

    def fail(envelopes: Sequence[Envelope]) -> Exception | None:
        if envelopes[0].aggregate_id == ada:
            ada_has_begun.set()
            return None
        return TopicUnreachable("away") if ada_has_begun.wait(10) else None

    topic = KeptTopic(fail)
    with pytest.raises(TopicUnreachable):
        relay(shop, topic, clock).run()
    assert topic.versions() == {ada: [1, 2]}
    assert unpublished(shop) == [(bob, 1)]


def test_events_that_cannot_be_sent_stay_are_reported_and_block_only_their_own_aggregate(
    shop: Shop, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    poisoned, ada = history(shop, 2), history(shop, 3)

    def fail(envelopes: Sequence[Envelope]) -> Exception | None:
        return ValueError("too large") if envelopes[0].aggregate_id == poisoned else None

    topic = KeptTopic(fail)
    with caplog.at_level(logging.ERROR):
        assert relay(shop, topic, clock).run() == 3
    assert topic.versions() == {ada: [1, 2, 3]}
    assert unpublished(shop) == [(poisoned, 1), (poisoned, 2)]
    assert str(poisoned) in caplog.text

    bob = history(shop, 1)
    assert relay(shop, topic, clock).run() == 1
    assert topic.versions()[bob] == [1]


def test_events_that_could_not_be_sent_are_tried_again_after_a_while_and_never_given_up(
    shop: Shop, clock: Clock
) -> None:
    poisoned = history(shop, 2)
    tries = []

    def fail(_: Sequence[Envelope]) -> Exception | None:
        tries.append(clock.now)
        return ValueError("too large")

    topic = KeptTopic(fail)
    for _ in range(20):
        relay(shop, topic, clock).run()
        clock.move(SETBACK)
        relay(shop, topic, clock).run()  # too early
        clock.move(timedelta(microseconds=1))
    assert len(tries) == 20

    topic.fail = lambda _: None
    assert relay(shop, topic, clock).run() == 2
    assert topic.versions() == {poisoned: [1, 2]}


def test_a_new_event_behind_those_that_cannot_be_sent_waits_for_them(shop: Shop, clock: Clock) -> None:
    poisoned = history(shop, 1)
    topic = KeptTopic(lambda _: ValueError("too large"))
    relay(shop, topic, clock).run()
    history(shop, 1, after=1, aggregate_id=poisoned)
    topic.fail = lambda _: None
    assert relay(shop, topic, clock).run() == 0
    clock.move(SETBACK + timedelta(microseconds=1))
    assert relay(shop, topic, clock).run() == 2
    assert topic.versions() == {poisoned: [1, 2]}


def test_a_relay_tells_when_to_run_again_for_what_it_could_not_send_and_what_it_may_still_hold(
    shop: Shop, clock: Clock
) -> None:
    history(shop, 1)
    errors: list[Exception] = [ValueError("too large"), TopicUnreachable("away")]
    ours, began = relay(shop, KeptTopic(lambda _: errors.pop(0) if errors else None), clock), clock.now
    assert ours.again_in(since=began) is None, "it has not run"
    ours.run()
    assert ours.again_in(since=began) == SETBACK

    clock.move(SETBACK + timedelta(seconds=1))
    assert ours.again_in(since=began) == timedelta(), "it is late"
    began = clock.now
    with pytest.raises(TopicUnreachable):
        ours.run()
    assert ours.again_in(since=began) == CLAIM

    clock.move(timedelta(seconds=1))
    assert ours.run() == 1
    assert ours.again_in(since=began) == CLAIM - timedelta(seconds=1), "a run that finds nothing free forgets nothing"
    clock.move(CLAIM)
    assert ours.again_in(since=clock.now) is None


def test_a_clock_that_was_wrong_puts_off_the_next_run_no_longer_than_a_claim_lasts(shop: Shop, clock: Clock) -> None:
    history(shop, 1)
    ours, began = relay(shop, KeptTopic(lambda _: TopicUnreachable("away")), clock), clock.now
    clock.move(timedelta(hours=1))
    with pytest.raises(TopicUnreachable):
        ours.run()
    clock.now = began
    assert ours.again_in(since=began) == CLAIM


def test_a_relay_whose_time_is_up_tells_when_to_run_again_if_it_could_not_note_what_it_sent(
    shop: Shop, clock: Clock
) -> None:
    history(shop, 1)
    database = mock.patch.object(sa.Engine, "begin", side_effect=sa.exc.TimeoutError("no connection was free"))

    def go(_: Sequence[Envelope]) -> None:
        database.start()

    topic = KeptTopic(go)
    ours = relay(shop, topic, clock)
    try:
        assert ours.run(until=clock.now) == 1
    finally:
        database.stop()
    assert ours.again_in(since=clock.now) == CLAIM
    topic.fail = lambda _: None
    clock.move(CLAIM + timedelta(seconds=1))
    assert ours.run() == 1
