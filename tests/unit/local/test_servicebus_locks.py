"""Locks of the Service Bus engine run out at their moment and not before, whoever holds them and whatever they hold.

The same is tried in real time with Microsoft's clients in tests/conformance/servicebus; here the clock is the test's.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proton import Message as Sent

from servicebus_engine.entity import Queue
from servicebus_engine.errors import ServiceBusError
from servicebus_engine.message import Content, Message
from servicebus_engine.store import Store

LOCK = 30_000
"""Milliseconds."""


class Clock:
    """Milliseconds since 1970."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        """Tell the time."""
        return self.now


class Holder:
    """Notes whether it was told that its session is lost."""

    def __init__(self) -> None:
        self.lost = 0

    def session_lost(self) -> None:
        """Note it."""
        self.lost += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "engine.db")
    yield store
    store.close()


@pytest.fixture
def make(store: Store, clock: Clock) -> Callable[..., Queue]:
    """Make a queue of this test's clock."""

    def made(**options: Any) -> Queue:
        return Queue("q", store, clock, lock_duration=LOCK, **options)

    return made


def send(queue: Queue, *names: str, session: str | None = None, ttl: float | None = None) -> None:
    for name in names:
        message = Sent(id=name, group_id=session, **({"ttl": ttl} if ttl is not None else {}))
        queue.enqueue(Content(message.encode()))


def taken(queue: Queue, session: str | None = None) -> Message:
    message = queue.take(session, settled=False)
    assert message is not None
    return message


def token(message: Message) -> Any:
    assert message.lock_token is not None
    return message.lock_token


def test_a_lock_holds_to_its_last_millisecond(make: Callable[..., Queue], clock: Clock) -> None:
    queue = make()
    send(queue, "a")
    held = taken(queue)
    assert held.locked_until == clock.now + LOCK
    clock.now += LOCK - 1
    queue.tick()
    assert queue.take(None, settled=False) is None
    assert queue.holding(token(held)) is held
    queue.complete(token(held))
    clock.now += LOCK
    queue.tick()
    assert queue.take(None, settled=False) is None, "what was completed never comes again"


@pytest.mark.parametrize("settle", ["complete", "abandon", "release", "defer", "dead_letter", "renew"])
@pytest.mark.parametrize("ticked", [False, True], ids=["before the engine looks", "after"])
def test_with_a_lock_that_has_run_out_nothing_can_be_done(
    make: Callable[..., Queue], clock: Clock, settle: str, *, ticked: bool
) -> None:
    queue = make()
    send(queue, "a")
    held = taken(queue)
    lost = token(held)
    clock.now += LOCK
    if ticked:
        queue.tick()
    with pytest.raises(ServiceBusError, match="lock"):
        getattr(queue, settle)(lost, *([None, None] if settle == "dead_letter" else []))
    queue.tick()
    again = taken(queue)
    assert (again.content.message_id, again.delivery_count) == ("a", 1)
    assert again.lock_token != lost


def test_a_lock_that_is_renewed_lasts_as_long_again_from_then_on(make: Callable[..., Queue], clock: Clock) -> None:
    queue = make()
    send(queue, "a")
    held = taken(queue)
    clock.now += LOCK - 1
    assert queue.renew(token(held)) == clock.now + LOCK
    clock.now += LOCK - 1
    queue.tick()
    queue.holding(token(held))
    clock.now += 1
    queue.tick()
    assert taken(queue).delivery_count == 1


def test_a_renewed_lock_does_not_keep_others_from_running_out(make: Callable[..., Queue], clock: Clock) -> None:
    queue = make()
    send(queue, "a", "b", "c")
    first, second, third = (taken(queue) for _ in range(3))
    clock.now += LOCK - 10
    queue.renew(token(first))
    clock.now += 10
    queue.tick()
    queue.holding(token(first))
    assert [taken(queue).content.message_id for _ in range(2)] == ["b", "c"]
    assert (second.delivery_count, third.delivery_count) == (1, 1)


def test_a_lock_that_runs_out_too_often_ends_in_the_dead_letters(make: Callable[..., Queue], clock: Clock) -> None:
    queue, dead = make(max_delivery_count=2), []
    queue.dead_letters = lambda content, count, properties: dead.append((content.message_id, count, properties))
    send(queue, "a")
    for _ in range(2):
        taken(queue)
        clock.now += LOCK
        queue.tick()
    assert queue.take(None, settled=False) is None
    [(name, count, properties)] = dead
    assert (name, count, properties["DeadLetterReason"]) == ("a", 2, "MaxDeliveryCountExceeded")


def test_a_message_that_expires_while_it_is_locked_lives_as_long_as_its_lock(
    make: Callable[..., Queue], clock: Clock
) -> None:
    queue = make()
    send(queue, "a", "b", ttl=1)  # seconds, as proton counts
    held = taken(queue)
    clock.now += 1_000
    queue.tick()
    assert queue.take(None, settled=False) is None, "the one that nobody holds is gone"
    queue.holding(token(held))
    clock.now += LOCK
    queue.tick()
    assert list(queue.peek(0, None)) == []


def test_a_deferred_message_is_locked_as_others_are_and_deferred_again_when_that_runs_out(
    make: Callable[..., Queue], clock: Clock
) -> None:
    queue = make()
    send(queue, "a")
    held = taken(queue)
    queue.defer(token(held))
    assert queue.take(None, settled=False) is None
    [again] = queue.take_deferred([held.sequence], None, settled=False)
    assert again.locked_until == clock.now + LOCK
    with pytest.raises(ServiceBusError):
        queue.take_deferred([held.sequence], None, settled=False)
    clock.now += LOCK
    queue.tick()
    assert queue.take(None, settled=False) is None
    [third] = queue.take_deferred([held.sequence], None, settled=False)
    assert third.delivery_count == 2


def session_of(queue: Queue, *names: str) -> tuple[Holder, Message]:
    """A session with these messages, and its holder with the first of them."""
    holder = Holder()
    send(queue, *names, session="s")
    assert queue.accept_session("s", holder) is not None
    return holder, taken(queue, "s")


def test_a_session_is_its_holders_to_the_last_millisecond_and_then_anybodys(
    make: Callable[..., Queue], clock: Clock
) -> None:
    queue = make(sessions=True)
    holder, held = session_of(queue, "a", "b")
    lost = token(held)
    clock.now += LOCK - 1
    queue.tick()
    with pytest.raises(ServiceBusError):
        queue.accept_session("s", Holder())
    assert (holder.lost, queue.holder("s")) == (0, holder)
    clock.now += 1
    queue.tick()
    assert (holder.lost, queue.holder("s")) == (1, None)
    with pytest.raises(ServiceBusError, match="lock"):
        queue.complete(lost)
    with pytest.raises(ServiceBusError, match="lock"):
        queue.renew_session("s")
    assert queue.accept_session(None, Holder()) is not None
    assert [(each.content.message_id, each.delivery_count) for each in (taken(queue, "s"), taken(queue, "s"))] == [
        ("a", 1),
        ("b", 0),
    ]


def test_a_session_that_has_run_out_gives_nothing_more_before_the_engine_has_looked(
    make: Callable[..., Queue], clock: Clock
) -> None:
    queue = make(sessions=True)
    _, held = session_of(queue, "a", "b")
    clock.now += LOCK
    assert queue.take("s", settled=False) is None
    for late in (lambda: queue.complete(token(held)), lambda: queue.renew_session("s")):
        with pytest.raises(ServiceBusError, match="lock"):
            late()


def test_a_session_that_is_renewed_keeps_its_messages_locked_as_long(make: Callable[..., Queue], clock: Clock) -> None:
    queue = make(sessions=True)
    holder, held = session_of(queue, "a")
    clock.now += LOCK - 1
    assert queue.renew_session("s") == clock.now + LOCK
    clock.now += LOCK - 1
    queue.tick()
    queue.complete(token(held))
    assert holder.lost == 0
    clock.now += 1
    queue.tick()
    assert holder.lost == 1


def test_a_renewed_session_does_not_keep_others_from_running_out(make: Callable[..., Queue], clock: Clock) -> None:
    queue = make(sessions=True)
    first, second = Holder(), Holder()
    for name, holder in (("one", first), ("two", second)):
        send(queue, name, session=name)
        queue.accept_session(name, holder)
    clock.now += LOCK - 1
    queue.renew_session("one")
    clock.now += 1
    queue.tick()
    assert (first.lost, second.lost) == (0, 1)


def test_who_lost_a_session_cannot_end_the_next_holders_lock(make: Callable[..., Queue], clock: Clock) -> None:
    queue = make(sessions=True)
    late, _ = session_of(queue, "a")
    clock.now += LOCK
    queue.tick()
    now = Holder()
    queue.accept_session("s", now)
    queue.release_session("s", late)
    assert queue.holder("s") is now
    queue.release_session("s", now)
    assert queue.holder("s") is None
