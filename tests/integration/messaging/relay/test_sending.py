"""The relay sends everything, in order for each aggregate, in shares, and not longer than it may run."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from queue import SimpleQueue
from typing import override
from uuid import uuid4

import sqlalchemy as sa

from shared.customers.events import CustomerRegisteredV1, CustomerRenamedV1
from shared.customers.tables import LOG
from shared.frame.messaging.envelope import Envelope, Metadata
from shared.frame.write_side.claims import PER_AGGREGATE
from shared.frame.write_side.relay import HEADS, SENDERS, Topic
from shared.frame.write_side.unit_of_work import UnitOfWork
from tests.integration.messaging.relay.conftest import Clock, history, relay, unpublished
from tests.support.shop import Shop
from tests.support.topic import KeptTopic


def test_everything_unpublished_is_sent_once_and_in_order(shop: Shop, clock: Clock) -> None:
    ada, bob = history(shop, 3), history(shop, 2)
    topic = KeptTopic()
    assert relay(shop, topic, clock).run() == 5
    assert topic.versions() == {ada: [1, 2, 3], bob: [1, 2]}
    assert unpublished(shop) == []
    assert relay(shop, topic, clock).run() == 0


def test_events_that_are_to_be_published_again_are_and_no_others(shop: Shop, clock: Clock) -> None:
    """By the statement of docs/extending.md; their followers have not noted what they ignored (test_following.py)."""
    ada, bob = history(shop, 3), history(shop, 1)
    relay(shop, KeptTopic(), clock).run()
    clock.move(timedelta(minutes=5))
    began = f"{clock.now:%Y-%m-%d %H:%M}"
    clock.move(timedelta(seconds=1))
    history(shop, 1, after=1, aggregate_id=bob)
    relay(shop, KeptTopic(), clock).run()
    again = (
        "UPDATE customers.event_log SET published_at = NULL WHERE type = 'CustomerRenamedV1' AND published_at > :since"
    )
    with shop.customers_engine.begin() as connection:
        connection.execute(sa.text(again), {"since": began})
    topic = KeptTopic()
    assert relay(shop, topic, clock).run() == 1
    assert topic.versions() == {bob: [2]}
    with shop.customers_engine.begin() as connection:
        connection.execute(sa.text(again), {"since": ""})
    topic = KeptTopic()
    assert relay(shop, topic, clock).run() == 3
    assert topic.versions() == {ada: [2, 3], bob: [2]}
    assert unpublished(shop) == []


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


def test_a_long_history_is_sent_whole_and_in_order_in_claims_of_its_share(shop: Shop, clock: Clock) -> None:
    ada, bob = uuid4(), history(shop, 1)
    with UnitOfWork(shop.customers_engine) as work:
        renamed = [CustomerRenamedV1(ada, f"Ada {version}") for version in range(2 * PER_AGGREGATE + 50)]
        LOG.append(work, ada, 0, renamed, Metadata())
        work.commit()
    sendings: SimpleQueue[int] = SimpleQueue()
    topic = KeptTopic(lambda envelopes: sendings.put(len(envelopes)))
    assert relay(shop, topic, clock).run() == len(renamed) + 1
    assert topic.versions() == {ada: list(range(1, len(renamed) + 1)), bob: [1]}
    assert sorted(sendings.get() for _ in range(sendings.qsize())) == [1, 50, PER_AGGREGATE, PER_AGGREGATE]
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
