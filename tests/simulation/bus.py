"""Service Bus with its moods: sends that fail before or after they arrived, any order, locks lost, duplicates.

A subscription gets what its rules in infra/local/servicebus.json let in.
Subscriptions have no sessions (ADR 21): whoever asks next gets any message that nobody has locked. A lock runs out
under a handler that is busy for longer than maxAutoLockRenewalDuration, ten minutes: two handle its message at once.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import override
from uuid import UUID

from shared.frame.messaging import topics
from shared.frame.messaging.envelope import Envelope
from shared.frame.write_side.relay import Topic, TopicUnreachable
from tests.simulation.scheduler import Crash, Scheduler
from tests.support.rules import lets_in

MAX_DELIVERIES = 10


@dataclass(slots=True, eq=False)
class Message:
    """A message in one subscription."""

    body: bytes
    deliveries: int = 0


@dataclass(slots=True)
class Subscription:
    """Messages, and who has locked which; the name is the topic's, a slash, and its own.

    Some messages come twice, as they do after an outage that was longer than the duplicate-detection window.
    """

    name: str
    messages: list[Message] = field(default_factory=list)
    locks: dict[Message, object] = field(default_factory=dict)
    dead: list[Message] = field(default_factory=list)


class FaultyTopic(Topic):
    """A topic with duplicate detection.

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
            if not lets_in(*subscription.name.split("/"), envelope.type):
                continue
            copies = 2 if self._scheduler.fault("duplicate") else 1
            for _ in range(copies):
                subscription.messages.append(Message(body))


def deliver(subscription: Subscription, handle: Callable[[bytes], None], scheduler: Scheduler) -> bool:
    """Take one message and handle it; False if there is none to take.

    Raises:
        Crash: the consumer died; its lock runs out.
    """
    free = [message for message in subscription.messages if message not in subscription.locks]
    if subscription.messages and scheduler.fault("lock runs out"):
        free = subscription.messages
    if not free:
        return False
    message, lock = scheduler.random.choice(free), object()
    if message not in subscription.locks and scheduler.fault("dead-lettered"):
        subscription.messages.remove(message)
        subscription.dead.append(message)
        return True
    subscription.locks[message] = lock
    message.deliveries += 1
    try:
        handle(message.body)
        if scheduler.fault("crash before completing"):
            raise Crash
    except Exception:  # noqa: BLE001  # whatever a handler raises, its message is abandoned
        done = False
    except Crash:
        _unlock(subscription, message, lock)
        raise
    else:
        done = True
    if not _unlock(subscription, message, lock):
        return True  # the lock was lost, and with it the say over the message
    if done or message.deliveries >= MAX_DELIVERIES:
        subscription.messages.remove(message)
    if not done and message.deliveries >= MAX_DELIVERIES:
        subscription.dead.append(message)
    return True


def _unlock(subscription: Subscription, message: Message, lock: object) -> bool:
    if subscription.locks.get(message) is not lock:
        return False
    del subscription.locks[message]
    return True
