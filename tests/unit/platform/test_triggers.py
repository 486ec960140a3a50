"""A trigger takes a message in, or holds it for a moment and gives it back: never at once, and never for good."""

import asyncio
import json
from collections import Counter

import azure.functions as func
import pytest

from shared.frame.messaging.codec import UnknownEventType
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.retries import NotYet, pause_after
from shared.frame.messaging.subscriptions import HELD_FOR_RELEASE, Consumer, trigger
from shared.frame.messaging.wire import to_body
from shared.frame.read_side.projection import GapInLog
from shared.frame.read_side.shape import UnreadableShape
from tests.support.servicebus import REPOSITORY
from tests.support.triggers import Trigger, context, message
from tests.support.triggers import trigger as trigger_of
from tests.unit.messaging.test_wire import ENVELOPE

BODY = to_body(ENVELOPE, "ordering")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long messages are held, in seconds; without holding them."""
    seconds: list[float] = []

    async def sleep(pause: float) -> None:
        seconds.append(pause)

    monkeypatch.setattr("shared.frame.messaging.subscriptions.asyncio.sleep", sleep)
    return seconds


def receiving(taken: list[Envelope], failing: Exception | None = None) -> Trigger:
    """The trigger of a consumer that notes what it takes in, or fails with this."""

    async def consume(envelope: Envelope) -> None:
        taken.append(envelope)
        if failing is not None:
            raise failing

    blueprint = func.Blueprint()
    trigger(blueprint, Consumer("consume", "order-events", "order-views", consume))
    return trigger_of(blueprint, "consume")


async def test_a_message_that_is_taken_in_is_not_held(held: list[float]) -> None:
    taken: list[Envelope] = []
    await receiving(taken)(message(BODY), context())
    assert (taken, held) == ([ENVELOPE], [])


@pytest.mark.parametrize(
    ("failed", "delivery", "pause"),
    [
        *((GapInLog("not there"), delivery, pause) for delivery, pause in ((1, 0.1), (4, 0.8), (10, 5.0), (None, 0.1))),
        *((NotYet("not yet"), delivery, pause) for delivery, pause in ((1, 0.2), (4, 1.6), (10, 30.0), (None, 0.2))),
        *((UnreadableShape("9"), delivery, pause) for delivery, pause in ((1, 5), (10, 120))),
        *((UnknownEventType("V9"), delivery, pause) for delivery, pause in ((1, 5), (4, 40), (10, 120), (None, 5))),
    ],
)
async def test_a_message_that_fails_is_held_before_it_is_given_back_each_time_for_longer(
    held: list[float], failed: Exception, delivery: int | None, pause: float
) -> None:
    receive = receiving([], failed)
    with pytest.raises(type(failed)):
        await receive(message(BODY, delivery=delivery), context())
    assert held == [pytest.approx(pause)]


async def test_what_is_no_event_is_held_and_given_back_too(held: list[float]) -> None:
    taken: list[Envelope] = []
    with pytest.raises(ValueError, match=r"JSON|line 1"):
        await receiving(taken)(message(b"{"), context())
    assert (taken, held) == ([], [pause_after(1, ValueError())])


async def test_a_trigger_goes_on_after_a_message_that_failed(held: list[float]) -> None:
    taken: list[Envelope] = []
    receive = receiving(taken)
    with pytest.raises(ValueError, match=r"JSON|line 1"):
        await receive(message(b"nonsense"), context())
    await receive(message(BODY), context())
    assert taken == [ENVELOPE]
    assert len(held) == 1


async def test_what_waits_for_another_release_leaves_calls_to_other_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a host's calls get a type that this release does not know, twice; half of them wait long for the next."""
    calls = json.loads((REPOSITORY / "host.json").read_text())["extensions"]["serviceBus"]["maxConcurrentCalls"]
    held: list[float] = []
    all_held = asyncio.Event()

    async def sleep(pause: float) -> None:
        held.append(pause)
        if len(held) == calls:
            all_held.set()
        await all_held.wait()

    monkeypatch.setattr("shared.frame.messaging.subscriptions.asyncio.sleep", sleep)
    receive = receiving([], UnknownEventType("V9"))
    for _ in range(2):
        deliveries = (receive(message(BODY), context()) for _ in range(calls))
        failed = await asyncio.gather(*deliveries, return_exceptions=True)
        assert {type(each) for each in failed} == {UnknownEventType}
        assert Counter(held) == {5: HELD_FOR_RELEASE, 0.1: calls - HELD_FOR_RELEASE}
        assert calls / 2 >= HELD_FOR_RELEASE
        all_held.clear()
        held.clear()
