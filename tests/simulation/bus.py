"""Service Bus with its moods: sends that fail before or after they arrived, redelivery, locks lost, duplicates."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import override
from uuid import UUID

from shared.messaging.envelope import Envelope
from shared.messaging.relay import Topic, TopicUnreachable
from shared.platform import topics
from tests.simulation.scheduler import Crash, Scheduler

MAX_DELIVERIES = 10


@dataclass(slots=True)
class Message:
    """A message in one subscription."""

    body: bytes
    session: str
    deliveries: int = 0


@dataclass(slots=True)
class Subscription:
    """Sessions in order; the message at the head of one is locked by whoever handles it.

    Some messages come twice, as they do after an outage that was longer than the duplicate-detection window.
    """

    name: str
    sessions: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    locks: dict[str, object] = field(default_factory=dict)
    dead: list[Message] = field(default_factory=list)


class FaultyTopic(Topic):
    """A topic with sessions and duplicate detection.

    Attributes:
        arrived: the versions that went out to every subscriber, by aggregate, in their order.
    """

    def __init__(self, source: str, subscriptions: Sequence[Subscription], scheduler: Scheduler) -> None:
        self._source = source
        self._subscriptions = subscriptions
        self._scheduler = scheduler
        self._seen: set[str | None] = set()
        self.arrived: dict[UUID, list[int]] = defaultdict(list)

    @override
    def send(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            self._scheduler.pause()
            match self._scheduler.fault("send fails", "crash before send"):
                case "send fails":
                    raise TopicUnreachable
                case "crash before send":
                    raise Crash
                case _:
                    self._arrive(envelope)
            self._scheduler.pause()
            match self._scheduler.fault("send fails after arriving", "crash after send"):
                case "send fails after arriving":
                    raise TopicUnreachable
                case "crash after send":
                    raise Crash
                case _:
                    pass

    def _arrive(self, envelope: Envelope) -> None:
        message = topics.to_message(envelope, self._source)
        if message.message_id is not None and message.message_id in self._seen:
            return
        self._seen.add(message.message_id)
        self.arrived[envelope.aggregate_id].append(envelope.version)
        body = b"".join(message.body)
        for subscription in self._subscriptions:
            copies = 2 if self._scheduler.fault("duplicate") else 1
            for _ in range(copies):
                session = message.session_id or ""
                subscription.sessions[session].append(Message(body, session))


def deliver(subscription: Subscription, handle: Callable[[bytes], None], scheduler: Scheduler) -> bool:
    """Take one message and handle it; False if there is none to take.

    Raises:
        Crash: the consumer died; its lock runs out.
    """
    waiting = [name for name, messages in subscription.sessions.items() if messages]
    free = [name for name in waiting if name not in subscription.locks]
    if waiting and scheduler.fault("lock runs out"):
        free = waiting
    if not free:
        return False
    session = scheduler.random.choice(sorted(free))
    if session not in subscription.locks and scheduler.fault("dead-lettered"):
        subscription.dead.append(subscription.sessions[session].pop(0))
        return True
    message, lock = subscription.sessions[session][0], object()
    subscription.locks[session] = lock
    message.deliveries += 1
    try:
        handle(message.body)
        if scheduler.fault("crash before completing"):
            raise Crash
    except Exception:  # noqa: BLE001  # whatever a handler raises, its message is abandoned
        done = False
    except Crash:
        _unlock(subscription, session, lock)
        raise
    else:
        done = True
    held = _unlock(subscription, session, lock)
    if not held or subscription.sessions[session][:1] != [message]:
        return True  # the lock was lost, and with it the say over the message
    if done:
        subscription.sessions[session].pop(0)
    elif message.deliveries >= MAX_DELIVERIES:
        subscription.dead.append(subscription.sessions[session].pop(0))
    return True


def _unlock(subscription: Subscription, session: str, lock: object) -> bool:
    if subscription.locks.get(session) is not lock:
        return False
    del subscription.locks[session]
    return True
