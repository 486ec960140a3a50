"""A release with one consumer. Of RELEASE 1 and 2 the later one knows an event that the other does not.

A line of RECORD says what it has taken in, or for how many seconds it would hold a message, which it does for a
hundredth of that.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import azure.functions as func

from shared.frame.messaging import retries
from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.subscriptions import Consumer, trigger

RELEASE = int(os.environ["RELEASE"])


@dataclass(frozen=True, slots=True)
class ThingAddedV1:
    """Both releases know it."""

    thing_id: UUID


@dataclass(frozen=True, slots=True)
class ThingMendedV1:
    """Release 2 writes it."""

    thing_id: UUID


TYPES: list[type[ThingAddedV1 | ThingMendedV1]] = [ThingAddedV1, ThingMendedV1]
CODEC = EventCodec[ThingAddedV1 | ThingMendedV1](TYPES[:RELEASE])


def _note(**what: object) -> None:
    with Path(os.environ["RECORD"]).open("a") as record:
        record.write(json.dumps({"release": RELEASE, **what}) + "\n")


def _quickly[**P](pause: Callable[P, float]) -> Callable[P, float]:
    def noted(*args: P.args, **kwargs: P.kwargs) -> float:
        seconds = pause(*args, **kwargs)
        _note(held=seconds)
        return seconds / 100

    return noted


async def take(envelope: Envelope) -> None:
    """Take an event in."""
    _note(taken=CODEC.open(envelope).envelope.type)


retries._doubled = _quickly(retries._doubled)
app = func.FunctionApp()
blueprint = func.Blueprint()
trigger(blueprint, Consumer("take", "product-events", "ordering", take))
app.register_functions(blueprint)
