"""However many relays run, and wherever one dies, each aggregate's events are sent in order."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest import mock

import pytest

from shared.customers.tables import LOG
from shared.frame.write_side.relay import CLAIM, Relay
from tests.integration.messaging.relay.conftest import Clock, history, relay
from tests.support.shop import Shop
from tests.support.topic import KeptTopic


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
        [(_, claimed)] = LOG.claims.claim(connection, clock.now, clock.now + CLAIM, most=1)
    assert claimed.aggregate_id == ada
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
