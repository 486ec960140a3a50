"""Events that cannot be sent are set back, tried again after a while, and hold up only their own aggregate."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from queue import SimpleQueue

import pytest

from shared.frame.messaging.envelope import Envelope
from shared.frame.write_side.relay import HEADS, SETBACK, TopicUnreachable
from tests.integration.messaging.relay.conftest import Clock, history, relay, unpublished
from tests.support.shop import Shop
from tests.support.topic import KeptTopic


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
