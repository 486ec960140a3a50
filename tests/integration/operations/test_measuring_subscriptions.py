"""How many messages each subscription gave up on, and since when its oldest waits, as telemetry is told."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from opentelemetry.sdk.metrics.export import NumberDataPoint

from shared.frame.messaging.dead_letters import DeadLetter, DeadLetterQueue, DeadLetters
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.subscriptions import Consumer
from shared.frame.operations.dead_letters import AT_ONCE, ListDeadLetters, list_dead_letters, measure_subscriptions
from shared.frame.platform.settings import Settings
from shared.frame.timers import SomeFailed
from shared.kernel.refusals import Unavailable
from tests.support.listeners import silent
from tests.support.servicebus import running_servicebus
from tests.support.telemetry import Observed, observing

TOPIC, SUBSCRIPTIONS = "product-events", ("ordering", "product-views")


async def consume(_: Envelope) -> None:
    """Never asked to."""


CONSUMERS = [Consumer(name, TOPIC, name, consume) for name in SUBSCRIPTIONS]


async def test_dead_letters_are_counted_by_subscription() -> None:
    with running_servicebus() as connection:
        with ServiceBusClient.from_connection_string(connection) as client:
            give_up(client, 2)
            with client.get_topic_sender(TOPIC) as sender:
                sender.send_messages(ServiceBusMessage(b"x"))

        dead_letters = DeadLetters(Settings(sql="", cosmos="", service_bus=connection))
        assert await counted(dead_letters) == {"ordering": 2, "product-views": 0}
        with (
            ServiceBusClient.from_connection_string(connection) as client,
            client.get_subscription_receiver(TOPIC, "ordering", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver,
        ):
            for message in receiver.receive_messages(max_message_count=2, max_wait_time=30):
                receiver.complete_message(message)
        assert await counted(dead_letters) == {"ordering": 0, "product-views": 0}
        await dead_letters.close()


async def test_the_age_of_the_oldest_message_of_each_subscription_is_told_and_none_is_taken_from_its_consumer() -> None:
    with running_servicebus() as connection:
        settings = Settings(sql="", cosmos="", service_bus=connection)
        dead_letters = DeadLetters(settings)
        with ServiceBusClient.from_connection_string(connection) as client, client.get_topic_sender(TOPIC) as sender:
            sender.schedule_messages(ServiceBusMessage(b"later"), datetime.now(UTC) + timedelta(days=1))
            assert await oldest(dead_letters) == {"ordering": 0, "product-views": 0}
            sender.send_messages(ServiceBusMessage(b"first"))
            sender.send_messages(ServiceBusMessage(b"second"))
            since = await dead_letters.waiting_since(TOPIC, "ordering")
            assert since
            age = (datetime.now(UTC) - since).total_seconds()
            assert (await oldest(dead_letters))["ordering"] >= age

            with client.get_subscription_receiver(TOPIC, "ordering") as receiver:
                [first] = receiver.receive_messages(max_message_count=1, max_wait_time=30)
                assert (str(first), first.delivery_count) == ("first", 0)
                assert await dead_letters.waiting_since(TOPIC, "ordering") == since, "it is not yet taken in"
                receiver.complete_message(first)
                assert (await dead_letters.waiting_since(TOPIC, "ordering") or since) > since
                [second] = receiver.receive_messages(max_message_count=1, max_wait_time=30)
                receiver.complete_message(second)
        ages = await oldest(dead_letters)
        await dead_letters.close()
    assert ages["ordering"] == 0
    assert ages["product-views"] >= age


async def test_a_subscription_that_is_missing_hides_no_other_and_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """It is no outage, which passes: its consumer gets nothing until somebody deploys."""
    gone = Consumer("gone", TOPIC, "gone", consume)
    with running_servicebus() as connection:
        with ServiceBusClient.from_connection_string(connection) as client:
            give_up(client, 1)
        dead_letters = DeadLetters(Settings(sql="", cosmos="", service_bus=connection))
        with observing() as observed, pytest.raises(SomeFailed, match=r"^product-events/gone$"):
            await measure_subscriptions(dead_letters, [gone, *CONSUMERS])
        assert by_subscription(observed, "tandem.dead_letters") == {"ordering": 1, "product-views": 0}
        listed = await list_dead_letters(dead_letters, [gone, *CONSUMERS], ListDeadLetters())
        await dead_letters.close()
    assert "product-events/gone cannot be read: it does not exist" in caplog.text
    found = [(each.consumer, each.closed, each.count) for each in listed.subscriptions]
    assert found == [("gone", "it does not exist", 0), ("ordering", None, 1), ("product-views", None, 0)]


async def test_a_subscription_that_does_not_answer_hides_no_other_and_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is first in the list, and those behind it were not measured for as long as that lasted."""
    monkeypatch.setattr("shared.frame.messaging.dead_letters.TIMEOUT", 2.0)
    async with one_answers() as dead_letters:
        silent_first = CONSUMERS[::-1]
        with observing() as observed, pytest.raises(SomeFailed, match=r"^product-events/product-views$"):
            await measure_subscriptions(dead_letters, silent_first)
    assert by_subscription(observed, "tandem.dead_letters") == {"ordering": 1}
    assert "product-events/product-views cannot be read: Unavailable: Service Bus does not answer" in caplog.text


async def test_who_lists_dead_letters_sees_the_others_of_a_subscription_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of many hid all that operators look for while it lasted."""
    monkeypatch.setattr("shared.frame.messaging.dead_letters.TIMEOUT", 2.0)
    async with one_answers() as dead_letters:
        listed = await list_dead_letters(dead_letters, CONSUMERS[::-1], ListDeadLetters())
        with pytest.raises(Unavailable, match=r"^Service Bus does not answer"):
            await list_dead_letters(dead_letters, CONSUMERS[1:], ListDeadLetters())
    found = [(each.consumer, each.unanswered, each.closed, each.count) for each in listed.subscriptions]
    assert found == [("product-views", True, None, 0), ("ordering", False, None, 1)]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the SDK's, of what is given up while it opens
async def test_listing_dead_letters_ends_in_time_however_slow_service_bus_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those behind a few that hang would wait for them, and whoever asked would have gone."""
    monkeypatch.setattr("shared.frame.operations.dead_letters.LISTED_WITHIN", 2.0)
    monkeypatch.setattr("shared.frame.messaging.dead_letters.TIMEOUT", 60.0)
    async with one_answers() as dead_letters, asyncio.timeout(30):
        hanging = CONSUMERS[1:] * 2 * AT_ONCE
        listed = await list_dead_letters(dead_letters, [CONSUMERS[0], *hanging], ListDeadLetters())
        with pytest.raises(Unavailable, match=r"within 2 seconds: ask for less"):
            await list_dead_letters(dead_letters, hanging, ListDeadLetters())
    assert [each.unanswered for each in listed.subscriptions] == [False] + [True] * len(hanging)
    gc.collect()  # of this test, and not of a later one


async def test_when_service_bus_is_away_subscriptions_do_not_wait_for_it_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All other watches would wait with them for the next tick."""
    asked = []
    connect = DeadLetters.of

    def watched_of(
        dead_letters: DeadLetters, topic: str, subscription: str
    ) -> AbstractAsyncContextManager[DeadLetterQueue]:
        asked.append(subscription)
        return connect(dead_letters, topic, subscription)

    monkeypatch.setattr("shared.frame.messaging.dead_letters.TIMEOUT", 1.0)
    monkeypatch.setattr(DeadLetters, "of", watched_of)
    many = [Consumer(f"c{number}", TOPIC, f"c{number}", consume) for number in range(3 * AT_ONCE)]
    with silent() as port:
        address = f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true"
        dead_letters = DeadLetters(Settings(sql="", cosmos="", service_bus=address))
        with pytest.raises(SomeFailed) as failed:
            await measure_subscriptions(dead_letters, many)
        await dead_letters.close()
    assert str(failed.value).split(", ") == [f"{TOPIC}/{each.subscription}" for each in many]
    assert asked == [each.subscription for each in many[:AT_ONCE]]


async def test_looking_at_many_dead_letters_holds_few_of_them_and_few_connections_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A dead letter may be a megabyte in size, and there may be thousands."""
    held, opened, most_open = [], 0, 0
    look, connect = DeadLetterQueue.look, DeadLetters.of

    async def watched_look(queue: DeadLetterQueue, after: int, most: int) -> AsyncIterator[DeadLetter]:
        async for letter in look(queue, after, most):
            held.append(sum(isinstance(each, DeadLetter) for each in gc.get_objects()))
            yield letter

    @asynccontextmanager
    async def watched_of(dead_letters: DeadLetters, topic: str, subscription: str) -> AsyncIterator[DeadLetterQueue]:
        nonlocal opened, most_open
        opened += 1
        most_open = max(most_open, opened)
        async with connect(dead_letters, topic, subscription) as queue:
            yield queue
        opened -= 1

    monkeypatch.setattr(DeadLetterQueue, "look", watched_look)
    monkeypatch.setattr(DeadLetters, "of", watched_of)
    with running_servicebus() as connection:
        with ServiceBusClient.from_connection_string(connection) as client:
            give_up(client, 20)
        dead_letters = DeadLetters(Settings(sql="", cosmos="", service_bus=connection))
        with observing() as observed:
            await measure_subscriptions(dead_letters, [*CONSUMERS, *CONSUMERS[1:] * 2 * AT_ONCE])
        assert by_subscription(observed, "tandem.dead_letters")["ordering"] == 20
        assert most_open == AT_ONCE, "one after the other, they take longer than a laptop's tick"
        most_open = 0
        listed = await list_dead_letters(
            dead_letters, [*CONSUMERS, *CONSUMERS[1:] * 2 * AT_ONCE], ListDeadLetters(take=2)
        )
        await dead_letters.close()
    [ordering, views, *_] = listed.subscriptions
    assert (ordering.count, ordering.looked_through, len(ordering.items), views.count) == (20, 20, 2, 0)
    assert ordering.next == ordering.items[-1].sequence_number
    assert len(held) == 40
    assert max(held) <= 2, "the one that is looked at, and the one before"
    assert most_open == AT_ONCE


@asynccontextmanager
async def one_answers() -> AsyncIterator[DeadLetters]:
    """Look at the subscriptions of `CONSUMERS`: the first has a dead letter, and of the second there is no answer."""
    with running_servicebus() as connection:
        with ServiceBusClient.from_connection_string(connection) as client:
            give_up(client, 1)
        async with swallowing(connection, b"product-views") as through:
            dead_letters = DeadLetters(Settings(sql="", cosmos="", service_bus=through))
            yield dead_letters
            await dead_letters.close()


@asynccontextmanager
async def swallowing(connection: str, name: bytes) -> AsyncIterator[str]:
    """Stand before Service Bus, and let nothing more through on a connection that says this name."""
    address = connection.partition("sb://")[2].partition(";")[0].rstrip("/")
    host, _, port = address.partition(":")

    carrying: set[asyncio.Future[tuple[BaseException | None, BaseException | None]]] = set()

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, all_of_it: bool) -> None:
        try:
            while (some := await source.read(1 << 16)) and (all_of_it or name not in some):
                sink.write(some)
            while some:
                some = await source.read(1 << 16)
        finally:  # also after a reset, as by a client that gives up
            sink.close()
            await sink.wait_closed()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asks = await asyncio.open_connection(host, int(port))
        both = pass_on(reader, asks, all_of_it=False), pass_on(answers, writer, all_of_it=True)
        carrying.add(under_way := asyncio.gather(*both, return_exceptions=True))
        await under_way

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield connection.replace(address, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()  # without waiting for clients, which a test that failed has left open
        for each in carrying:
            each.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)


def give_up(client: ServiceBusClient, count: int) -> None:
    """Let a consumer give up on so many messages."""
    with client.get_topic_sender(TOPIC) as sender:
        sender.send_messages([ServiceBusMessage(b"x") for _ in range(count)])
    with client.get_subscription_receiver(TOPIC, "ordering") as receiver:
        for _ in range(count):
            [message] = receiver.receive_messages(max_message_count=1, max_wait_time=30)
            receiver.dead_letter_message(message)


async def counted(dead_letters: DeadLetters) -> dict[object, float]:
    """What telemetry is told of dead letters, by subscription."""
    with observing() as observed:
        await measure_subscriptions(dead_letters, CONSUMERS)
    return by_subscription(observed, "tandem.dead_letters")


async def oldest(dead_letters: DeadLetters) -> dict[object, float]:
    """What telemetry is told of the oldest message that waits, by subscription."""
    with observing() as observed:
        await measure_subscriptions(dead_letters, CONSUMERS)
    return by_subscription(observed, "tandem.subscription.oldest")


def by_subscription(observed: Observed, metric: str) -> dict[object, float]:
    """A gauge's last value for each subscription."""
    points = [point for point in observed.points(metric) if isinstance(point, NumberDataPoint)]
    return {(point.attributes or {})["messaging.destination.subscription.name"]: point.value for point in points}
