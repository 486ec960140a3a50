"""The rules of the app's own subscriptions in servicebus.json: they keep away what a subscription's consumers ignore.

`python -m infra.local.rules` says whether they differ from the declarations of the contexts, and `--write` writes them.
A rule names the types of events that are ignored, not those that are wanted, so that an event of a type that no rule
knows is delivered (ADR 40).
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.local.screen import command, complain
from shared.contexts import CONTEXTS
from shared.frame.app import App
from shared.frame.context import Context
from shared.frame.messaging.subscriptions import Consumer
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase

FILE = Path(__file__).parent / "servicebus.json"

WRITE = "python -m infra.local.rules --write"

LONGEST = 1_024
"""Characters of an expression: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""

type Subscription = tuple[str, str]
"""A topic and the name of its subscription."""

_EXPRESSION = "sys.Label IS NULL OR sys.Label NOT IN ({})"
_EVERYTHING = "1=1"
_RULES = (
    '[{{ "Name": "not-ignored", "Properties": {{ "FilterType": "Sql", "SqlFilter": {{ "SqlExpression": {} }} }} }}]'
)
_EXPRESSIONS = re.compile(re.escape(_EXPRESSION).replace(r"\{\}", r"('\w+'(?:, '\w+')*)"))


def declared() -> Mapping[Subscription, Sequence[str]]:
    """Give for each of the app's own subscriptions the types of events that its consumer ignores."""
    settings = Settings(sql="sqlite://", cosmos="", service_bus="")  # declaring connects to nothing
    app = App(settings, CosmosDatabase(settings))
    return ignored([declare(app) for declare in CONTEXTS])


def ignored(contexts: Iterable[Context[Any]]) -> Mapping[Subscription, Sequence[str]]:
    """Give what the consumers of these contexts ignore of the types that are written today.

    Events of earlier versions are always delivered: nobody writes them any more but a release that is being replaced.
    """
    contexts = list(contexts)
    consumers = defaultdict[Subscription, list[Consumer]](list)
    for each in (consumer for context in contexts for consumer in context.consumers):
        consumers[each.topic, each.subscription].append(each)
    written = {context.topic: list(context.log.codec.written) for context in contexts}
    return {
        subscription: [type_ for type_ in written[subscription[0]] if not any(each.takes(type_) for each in sharing)]
        for subscription, sharing in consumers.items()
    }


def expression(types: Sequence[str]) -> str:
    """Write the expression of a rule that keeps events of these types away, and no others.

    Raises:
        ValueError: Service Bus takes no expression of this length.
    """
    text = _EXPRESSION.format(", ".join(f"'{type_}'" for type_ in types)) if types else _EVERYTHING
    if len(text) > LONGEST:
        raise ValueError(f"a rule has at most {LONGEST} characters, and this one {len(text)}: {text}")
    return text


def kept_away(text: str) -> Sequence[str]:
    """Give the types of events that an expression keeps away.

    Raises:
        ValueError: the expression is another one than `expression` writes.
    """
    if text == _EVERYTHING:
        return []
    found = _EXPRESSIONS.fullmatch(text)
    if found is None:
        raise ValueError(f"this is no rule of the app's own subscriptions: {text}")
    return re.findall(r"\w+", found[1])


def rewritten(text: str, wanted: Mapping[Subscription, Sequence[str]]) -> str:
    """Replace the rules in the text of servicebus.json, and leave everything else as it is.

    Raises:
        ValueError: the file lacks a subscription.
    """
    [namespace] = json.loads(text)["UserConfig"]["Namespaces"]
    found = {(topic["Name"], each["Name"]) for topic in namespace["Topics"] for each in topic["Subscriptions"]}
    for topic, subscription in wanted.keys() - found:
        raise ValueError(f"{FILE.name} has no subscription {topic}/{subscription}")
    for (topic, subscription), types in wanted.items():
        at = 0
        for part in (f'"Name": "{topic}"', f'"Name": "{subscription}"', '"Rules": '):
            at = text.index(part, at) + len(part)
        _, end = json.JSONDecoder().raw_decode(text, at)
        rules = _RULES.format(json.dumps(expression(types))) if types else "[]"
        text = text[:at] + rules + text[end:]
    return text


def lost(deployed: str, wanted: Mapping[Subscription, Sequence[str]]) -> Sequence[str]:
    """Give the events that deployed rules keep away from a consumer that takes them.

    Args:
        deployed: the output `subscriptionRules` of infra/main.bicep.
        wanted: what consumers ignore.
    """
    found = []
    for each in deployed.split("; "):
        path, _, text = each.partition("=")
        topic, _, subscription = path.partition("/")
        ignores = wanted.get((topic, subscription))  # None: nothing consumes it any more
        if ignores is not None:
            found += [f"{type_} from {path}" for type_ in kept_away(text) if type_ not in ignores]
    return found


def main(arguments: Sequence[str]) -> int:
    """Compare the rules, or write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    do = parser.add_mutually_exclusive_group()
    do.add_argument("--write", action="store_true", help="write them into servicebus.json")
    do.add_argument("--deployed", metavar="RULES", help="fail if these of Azure keep away what a consumer takes")
    given = parser.parse_args(arguments)
    if given.deployed is not None:
        if away := ", ".join(lost(given.deployed, declared())):
            complain(f"Service Bus keeps away what this release takes: {away}. The infrastructure comes first.")
            return 1
        return 0
    before = FILE.read_text(encoding="utf-8")
    after = rewritten(before, declared())
    if given.write:
        FILE.write_text(after, encoding="utf-8")
    elif after != before:
        complain(f"{FILE.name} has other rules than the contexts declare: {WRITE}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(command(lambda: main(sys.argv[1:])))
