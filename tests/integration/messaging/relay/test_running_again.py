"""A relay tells when to run again for what it has left behind."""

from collections.abc import Sequence
from datetime import timedelta
from unittest import mock

import pytest
import sqlalchemy as sa

from shared.frame.messaging.envelope import Envelope
from shared.frame.write_side.relay import CLAIM, SETBACK, TopicUnreachable
from tests.integration.messaging.relay.conftest import Clock, history, relay
from tests.support.shop import Shop
from tests.support.topic import KeptTopic


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
