"""Subscriptions get what their consumers take, and nothing else that is known."""

import json
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusClient

from infra.local.rules import FILE, LONGEST, WRITE, declared, expression, kept_away, rewritten
from shared.frame.messaging.subscriptions import Consumer
from shared.frame.messaging.topics import ServiceBusTopic
from shared.frame.messaging.wire import from_body
from shared.frame.platform.settings import Settings
from tests.support.app import app_globals
from tests.support.rules import lets_in
from tests.support.servicebus import running_servicebus
from tests.unit.messaging.test_wire import ENVELOPE

CONTEXTS = app_globals()["contexts"]
CODECS = {context.topic: context.log.codec for context in CONTEXTS}
CONSUMERS: list[Consumer] = [consumer for context in CONTEXTS for consumer in context.consumers]
UNKNOWN = "OrderParkedV1"
"""A type that a newer release writes."""

each_consumer = pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda each: each.name)


def test_the_rules_are_those_that_the_contexts_declare() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert rewritten(text, declared()) == text, WRITE


@each_consumer
def test_a_subscription_gets_what_its_consumer_takes_and_nothing_else_that_is_known(consumer: Consumer) -> None:
    written = set(CODECS[consumer.topic].written)
    let_in = {type_ for type_ in written if lets_in(consumer.topic, consumer.subscription, type_)}
    taken = {type_ for type_ in written if consumer.takes(type_)}
    assert taken <= let_in, f"events would be lost: {WRITE}"
    assert let_in <= taken, f"events come in that are ignored: {WRITE}"


@each_consumer
def test_earlier_versions_and_what_no_rule_knows_are_delivered(consumer: Consumer) -> None:
    earlier = set(CODECS[consumer.topic].names) - set(CODECS[consumer.topic].written)
    for type_ in (*earlier, UNKNOWN, None):
        assert lets_in(consumer.topic, consumer.subscription, type_), type_


@each_consumer
def test_the_types_that_a_rule_keeps_away_are_read_from_its_expression(consumer: Consumer) -> None:
    kept = declared()[consumer.topic, consumer.subscription]
    assert kept_away(expression(kept)) == kept
    assert not any(lets_in(consumer.topic, consumer.subscription, type_) for type_ in kept)


def test_a_rule_that_another_has_written_is_refused() -> None:
    for text in ("sys.Label NOT IN ('OrderCreatedV1')", "sys.Label IS NULL OR sys.Label NOT IN ()", "1=0"):
        with pytest.raises(ValueError, match="no rule of the app's own"):
            kept_away(text)


def test_a_rule_that_service_bus_would_not_take_is_refused() -> None:
    short = "T" * 15
    assert len(expression([short] * 40)) <= LONGEST
    with pytest.raises(ValueError, match="at most 1024 characters"):
        expression([short] * 60)


def test_rules_are_written_and_taken_away_and_all_else_stays() -> None:
    text = FILE.read_text(encoding="utf-8")
    wanted = declared()
    bare = rewritten(text, dict.fromkeys(wanted, ()))
    topics = json.loads(bare)["UserConfig"]["Namespaces"][0]["Topics"]
    rules = {(topic["Name"], each["Name"]): each["Rules"] for topic in topics for each in topic["Subscriptions"]}
    assert all(rules[subscription] == [] for subscription in wanted)
    assert rules["order-events", "billing"], "another system's"
    assert rewritten(bare, wanted) == text


@pytest.mark.parametrize("subscription", ["parcels", "ordering"])
def test_a_subscription_that_the_file_lacks_is_named(subscription: str) -> None:
    """The second one is there, but of other topics."""
    with pytest.raises(ValueError, match=f"no subscription order-events/{subscription}"):
        rewritten(FILE.read_text(encoding="utf-8"), {("order-events", subscription): ()})


@pytest.fixture(scope="module")
def service_bus() -> Iterator[str]:
    """The laptop's topics and subscriptions, with their rules."""
    with running_servicebus() as connection:
        yield connection


@pytest.mark.parametrize("topic", CODECS)
def test_over_the_wire_a_subscription_gets_what_it_does_not_ignore(service_bus: str, topic: str) -> None:
    types = [*CODECS[topic].names, UNKNOWN]
    sender = ServiceBusTopic(Settings(sql="", cosmos="", service_bus=service_bus), topic, "ordering")
    sender.send([replace(ENVELOPE, event_id=uuid4(), type=type_) for type_ in types])
    sender._client.close()
    ignored = {name: types for (of, name), types in declared().items() if of == topic}
    assert ignored
    with ServiceBusClient.from_connection_string(service_bus) as client:
        for subscription, kinds in ignored.items():
            expected = [type_ for type_ in types if type_ not in kinds]
            with client.get_subscription_receiver(topic, subscription) as receiver:
                peeked = receiver.peek_messages(len(types) + 1)
            assert [from_body(b"".join(each.body)).type for each in peeked] == expected, subscription
