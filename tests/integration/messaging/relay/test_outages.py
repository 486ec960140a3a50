"""A topic that cannot be reached is reported, and all that was to be sent is kept."""

import itertools
import sqlite3
import threading
from collections.abc import Sequence
from datetime import timedelta
from unittest import mock

import pytest
import sqlalchemy as sa

from shared.customers.tables import LOG
from shared.frame.messaging.envelope import Envelope
from shared.frame.write_side.claims import Settled
from shared.frame.write_side.relay import CLAIM, SENDERS, TopicUnreachable
from tests.integration.messaging.relay.conftest import Clock, history, relay, unpublished
from tests.support.database import needs_sqlite
from tests.support.shop import Shop
from tests.support.topic import KeptTopic


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
    with mock.patch.object(LOG.claims.statements.release, "run", full), pytest.raises(TopicUnreachable, match="away"):
        relay(shop, topic, clock).run()
    with (
        mock.patch.object(LOG.claims.statements.release, "run", side_effect=sqlite3.OperationalError("disk is full")),
        shop.customers_engine.begin() as connection,
        pytest.raises(sa.exc.OperationalError),
    ):
        LOG.claims.settle(connection, Settled())


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
