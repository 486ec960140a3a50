"""How dead letters are dealt with on a real engine, also when something dies half-way."""

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import batched
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import MessageLockLostError

from shared.frame.messaging.dead_letters import DeadLetterQueue, DeadLetters
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import to_message
from shared.frame.operations import dead_letter_replay
from shared.frame.operations.dead_letter_replay import SettledDeadLetters, choose, discarding, replaying, settle
from shared.frame.platform.settings import Settings
from shared.kernel.refusals import Unavailable
from tests.integration.operations.dead_letters.conftest import events
from tests.support.servicebus import running_servicebus

TOPIC, SUBSCRIPTION = "customer-events", "ordering"


@pytest.fixture(scope="module")
def service_bus() -> Iterator[str]:
    with running_servicebus() as connection:
        yield connection


@pytest.fixture
async def dead_letters(service_bus: str) -> AsyncIterator[DeadLetters]:
    """The engine's dead letters; what a test leaves goes."""
    opened = DeadLetters(Settings(sql="", cosmos="", service_bus=service_bus))
    yield opened
    async with opened.of(TOPIC, SUBSCRIPTION) as queue:
        numbers = [letter.sequence_number async for letter in queue.look(0, 10_000)]
        for number in await queue.hold(numbers, len(numbers), until=float("inf")):
            await queue.complete(number)
    await opened.close()


class Consumed(list[int]):
    """The versions that a consumer has taken in; it fails on those in `failing`."""

    failing: Sequence[int] = ()

    async def consume(self, envelope: Envelope) -> None:
        """Take an event in."""
        if envelope.version in self.failing:
            raise LookupError("not this one")
        self.append(envelope.version)


async def gave_up(service_bus: str, *envelopes: Envelope, reason: str = "poison") -> None:
    """Make dead letters of one aggregate's events, in this order."""
    async with ServiceBusClient.from_connection_string(service_bus) as client:
        async with client.get_topic_sender(TOPIC) as sender:
            for some in batched(envelopes, 200, strict=False):
                await sender.send_messages([to_message(envelope, "customers") for envelope in some])
        async with client.get_subscription_receiver(TOPIC, SUBSCRIPTION) as receiver:
            given_up = 0
            while given_up < len(envelopes):
                for message in await receiver.receive_messages(len(envelopes) - given_up, max_wait_time=20):
                    await receiver.dead_letter_message(message, reason=reason)
                    given_up += 1


async def replay(dead_letters: DeadLetters, consumed: Consumed, after: int = 0) -> SettledDeadLetters:
    async with dead_letters.of(TOPIC, SUBSCRIPTION) as queue:
        chosen = await choose(queue, None, after=after)
        return await settle("s", queue, chosen, replaying(consumed.consume))


async def left(dead_letters: DeadLetters) -> list[str | None]:
    """The message ids of the dead letters that there are."""
    async with dead_letters.of(TOPIC, SUBSCRIPTION) as queue:
        return [letter.message_id async for letter in queue.look(0, 100)]


def results(outcome: SettledDeadLetters) -> list[str]:
    return [item.result for item in outcome.items]


async def test_an_aggregate_s_events_are_taken_in_in_the_order_of_their_versions(
    service_bus: str, dead_letters: DeadLetters
) -> None:
    first, second, third = events(3)
    await gave_up(service_bus, third, first, second)
    consumed = Consumed()
    assert results(await replay(dead_letters, consumed)) == ["replayed"] * 3
    assert consumed == [1, 2, 3]


async def test_one_that_fails_stays_and_holds_up_no_other(service_bus: str, dead_letters: DeadLetters) -> None:
    envelopes = events(3)
    await gave_up(service_bus, *envelopes)
    consumed = Consumed()
    consumed.failing = [2]
    assert results(await replay(dead_letters, consumed)) == ["replayed", "failed", "replayed"]
    assert await left(dead_letters) == [str(envelopes[1].event_id)]
    consumed.failing = []
    assert results(await replay(dead_letters, consumed)) == ["replayed"], "it was given back at once"


async def test_who_dies_before_completing_leaves_a_dead_letter_that_can_be_replayed_again(
    service_bus: str, dead_letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    [envelope] = events(1)
    await gave_up(service_bus, envelope)

    async def die(_queue: DeadLetterQueue, _number: int) -> None:
        raise MessageLockLostError

    consumed = Consumed()
    with monkeypatch.context() as patch:
        patch.setattr(DeadLetterQueue, "complete", die)
        assert results(await replay(dead_letters, consumed)) == ["unconfirmed"]
    assert await left(dead_letters) == [str(envelope.event_id)]
    assert results(await replay(dead_letters, consumed)) == ["replayed"]
    assert await left(dead_letters) == []
    assert consumed == [1, 1]  # consumers do nothing twice: the version gate and the inbox have tests of their own


async def test_what_somebody_else_holds_is_left_and_next_leads_back_to_it(
    service_bus: str, dead_letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.frame.messaging.dead_letters.NEXT_COMES_WITHIN", 0.5)
    await gave_up(service_bus, *events(2))
    async with dead_letters.of(TOPIC, SUBSCRIPTION) as queue:
        [held] = [letter async for letter in queue.look(0, 1)]
        assert await queue.hold({held.sequence_number}, most=1, until=float("inf")) == {held.sequence_number}
        outcome = await replay(dead_letters, Consumed())
    assert results(outcome) == ["left", "replayed"]
    assert (outcome.remaining, outcome.next) == (1, held.sequence_number - 1)
    assert results(await replay(dead_letters, Consumed(), after=outcome.next or 0)) == ["replayed"]


async def test_what_there_is_no_time_for_is_left(
    service_bus: str, dead_letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_replay, "SETTLING", -1)
    await gave_up(service_bus, *events(2))
    consumed = Consumed()
    outcome = await replay(dead_letters, consumed)
    assert results(outcome) == ["left", "left"]
    assert (outcome.remaining, list(consumed)) == (2, [])


async def test_one_call_deals_with_so_many_and_tells_where_to_go_on(
    service_bus: str, dead_letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_replay, "MOST", 2)
    await gave_up(service_bus, *events(3))
    consumed = Consumed()
    consumed.failing = [1, 2, 3]
    first = await replay(dead_letters, consumed)
    assert (len(first.items), first.remaining) == (2, 1)
    assert first.next == first.items[-1].sequence_number
    second = await replay(dead_letters, consumed, after=first.next or 0)
    assert (len(second.items), second.remaining, second.next) == (1, 0, None)


async def test_what_lies_too_far_back_is_not_got_at(
    service_bus: str, dead_letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    envelopes = events(3)
    await gave_up(service_bus, *envelopes)
    monkeypatch.setattr(dead_letter_replay, "MAX_SCAN", 2)
    async with dead_letters.of(TOPIC, SUBSCRIPTION) as queue:
        chosen = await choose(queue, [str(envelopes[1].event_id), str(envelopes[2].event_id)])
    assert [letter.message_id for letter in chosen.letters] == [str(envelopes[1].event_id)]
    assert chosen.absent == [str(envelopes[2].event_id)]


async def test_of_thousands_any_is_found_and_got_at_and_a_call_looks_no_further_than_it_has_to(
    service_bus: str, dead_letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    envelopes = [envelope for _ in range(15) for envelope in events(100)]
    await gave_up(service_bus, *envelopes)
    ids = [str(envelope.event_id) for envelope in envelopes]
    async with dead_letters.of(TOPIC, SUBSCRIPTION) as queue:
        numbers = [letter.sequence_number async for letter in queue.look(0, 10_000)]
        assert len(numbers) == len(envelopes)
        chosen = await choose(queue, [numbers[1_400], ids[1_450], ids[1_200]])
        assert [letter.message_id for letter in chosen.letters] == [ids[1_200], ids[1_400], ids[1_450]]
        outcome = await settle("s", queue, chosen, discarding)
    assert results(outcome) == ["discarded"] * 3
    async with dead_letters.of(TOPIC, SUBSCRIPTION) as queue:
        everything = await choose(queue, None)
    assert (len(everything.letters), everything.remaining) == (100, dead_letter_replay.COUNTED)
    consumed = Consumed()
    later = await replay(dead_letters, consumed, after=numbers[1_300])
    assert results(later) == ["replayed"] * 100
    assert (later.remaining, len(consumed)) == (97, 100)
    looks: list[int] = []
    with monkeypatch.context() as patch:
        peeked = ServiceBusReceiver.peek_messages

        async def counted(receiver: ServiceBusReceiver, *arguments: Any, **options: Any) -> Any:
            looks.append(1)
            return await peeked(receiver, *arguments, **options)

        patch.setattr(ServiceBusReceiver, "peek_messages", counted)
        async with dead_letters.of(TOPIC, SUBSCRIPTION) as queue:
            await choose(queue, [numbers[1_299]])
    assert len(looks) == 1


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b"{}", b'{"id": 7}', b""], ids=["binary", "deep", *"abc"])
async def test_no_message_is_so_odd_that_it_cannot_be_shown(
    service_bus: str, dead_letters: DeadLetters, body: bytes
) -> None:
    async with ServiceBusClient.from_connection_string(service_bus) as client:
        async with client.get_topic_sender(TOPIC) as sender:
            await sender.send_messages(ServiceBusMessage(body))
        async with client.get_subscription_receiver(TOPIC, SUBSCRIPTION) as receiver:
            message: ServiceBusReceivedMessage
            [message] = await receiver.receive_messages(1, max_wait_time=20)
            await receiver.dead_letter_message(message)
    async with dead_letters.of(TOPIC, SUBSCRIPTION) as queue:
        [letter] = [letter async for letter in queue.look(0, 2)]
    assert (letter.reason, letter.envelope) == (None, None)
    assert letter.text == body.decode(errors="replace")[:1_000]


async def test_service_bus_being_away_is_told_apart() -> None:
    nowhere = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=x;SharedAccessKey=eA==;UseDevelopmentEmulator=true;"
    away = DeadLetters(Settings(sql="", cosmos="", service_bus=nowhere))
    with pytest.raises(Unavailable) as caught:
        async with away.of(TOPIC, SUBSCRIPTION):
            pass
    await away.close()
    assert caught.value.code == "service-bus-unavailable"
