"""What the rules in infra/local/servicebus.json let into each subscription, as the engine evaluates them."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from proton import Message

from servicebus_engine.filters import any_of
from servicebus_engine.message import Content
from servicebus_engine.topology import read_topology
from tests.support.servicebus import CONFIG

_RULES = {
    (topic.name, each.name): any_of(each.rules)
    for topic in read_topology(CONFIG).topics
    for each in topic.subscriptions
}


@cache
def lets_in(topic: str, subscription: str, type_: str | None) -> bool:
    """Whether an event of a type comes into a subscription; None: a message without a subject."""
    return _RULES[topic, subscription](Content(Message(subject=type_, id="1").encode()))


def is_own(subscription: Mapping[str, Any]) -> bool:
    """Whether a subscription in the file is the app's own; those of other systems have correlation filters."""
    return all(rule["Properties"]["FilterType"] == "Sql" for rule in subscription["Rules"])
