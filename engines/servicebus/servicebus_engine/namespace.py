"""Everything that can be sent to and received from, made from the configuration."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from servicebus_engine import errors
from servicebus_engine.destination import Destination
from servicebus_engine.entity import Queue, dead_letter_properties
from servicebus_engine.filters import Predicate, UnsupportedFilterError, any_of
from servicebus_engine.message import DEAD_LETTER_SOURCE, ENQUEUE_SEQUENCE_NUMBER, Content
from servicebus_engine.store import Store
from servicebus_engine.topology import (
    QueueConfig,
    ReceivingProperties,
    SendingProperties,
    Topology,
    TopologyError,
)

_DEAD_LETTER_QUEUE = "/$DeadLetterQueue"
_TRANSFER_DEAD_LETTER_QUEUE = "/$Transfer/$DeadLetterQueue"
_MOST_HOPS = 4
"""Forwardings in a row; Service Bus quota, beyond which it dead-letters with MaxTransferHopCountExceeded."""


class _Keep(Protocol):
    def __call__(self, content: Content, *, delivery_count: int) -> None: ...


class Namespace:
    """The queues, topics and subscriptions by address.

    Attributes:
        destinations: queues and topics, by lower-case address.
        queues: queues, subscriptions and dead-letter queues, by lower-case address.
    """

    def __init__(self, topology: Topology, store: Store, now: Callable[[], int]) -> None:
        """Make the entities and load their messages.

        Raises:
            TopologyError: a filter is not supported, or a forwarding has no target or is circular.
        """
        self._store = store
        self._now = now
        self._forwards: dict[str, str] = {}
        self.destinations: dict[str, Destination] = {}
        self.queues: dict[str, Queue] = {}
        for config in topology.queues:
            self._add_queue(config)
        for topic in topology.topics:
            inputs = [
                (
                    self._add_receiving(f"{topic.name}/Subscriptions/{sub.name}", sub.properties, topic.properties),
                    _predicate(topic.name, sub.name, partial(any_of, sub.rules)),
                )
                for sub in topic.subscriptions
            ]
            numbered = partial(self._number, store.entity(topic.name), partial(_fan_out, inputs))
            self._add_destination(topic.name, topic.properties, numbered)
        self._check_forwards()
        for destination in self.destinations.values():
            destination.load()
        for queue in self.queues.values():
            queue.load()
        for queue in self.queues.values():
            queue.resume()

    def destination(self, address: str) -> Destination:
        """Return the queue or topic at an address.

        Raises:
            ServiceBusError: there is none, or it can only be received from.
        """
        found = self.destinations.get(address.lower())
        if found is None and address.lower() in self.queues:
            raise errors.not_allowed(f"'{address}' can only be received from; send to its topic or queue.")
        if found is None:
            raise errors.entity_not_found(address)
        return found

    def queue(self, address: str) -> Queue:
        """Return the queue, subscription or dead-letter queue at an address.

        Raises:
            ServiceBusError: there is none, or it cannot be received from.
        """
        found = self.queues.get(address.lower())
        if found is None and address.lower() in self.destinations:
            raise errors.not_allowed(f"'{address}' is a topic; receive from one of its subscriptions.")
        if found is None:
            raise errors.entity_not_found(address)
        if address.lower() in self._forwards:
            raise errors.not_allowed(f"'{address}' forwards its messages; it cannot be received from.")
        return found

    def tick(self) -> None:
        """Carry out all work that is due by now."""
        for destination in self.destinations.values():
            destination.tick()
        for queue in self.queues.values():
            queue.tick()

    def _add_queue(self, config: QueueConfig) -> None:
        deliver = self._add_receiving(config.name, config.properties)
        self._add_destination(config.name, config.properties, deliver, sessions=config.properties.requires_session)

    def _add_destination(
        self, path: str, properties: SendingProperties, deliver: Callable[[Content], None], *, sessions: bool = False
    ) -> None:
        window = properties.duplicate_detection_history_time_window
        self.destinations[path.lower()] = Destination(
            path,
            self._store,
            self._now,
            deliver,
            sessions=sessions,
            duplicate_window=_milliseconds(window) if properties.requires_duplicate_detection else None,
        )

    def _add_receiving(
        self, path: str, properties: ReceivingProperties, topic: SendingProperties | None = None
    ) -> Callable[[Content], None]:
        """Add a queue or subscription with its dead-letter queue; returns its entrance for messages."""
        lives = [properties.default_message_time_to_live, topic.default_message_time_to_live if topic else None]
        queue = Queue(
            path,
            self._store,
            self._now,
            sessions=properties.requires_session,
            lock_duration=_milliseconds(properties.lock_duration),
            time_to_live=min((_milliseconds(life) for life in lives if life is not None), default=None),
            max_delivery_count=properties.max_delivery_count,
            dead_letter_expired=properties.dead_lettering_on_message_expiration,
        )
        self.queues[path.lower()] = queue
        dead_letters = self._add_dead_letters(path + _DEAD_LETTER_QUEUE, properties)
        undeliverable = self._add_dead_letters(path + _TRANSFER_DEAD_LETTER_QUEUE, properties)
        keep: _Keep = dead_letters.enqueue
        if properties.forward_dead_lettered_messages_to is not None:
            self._forwards[dead_letters.path.lower()] = properties.forward_dead_lettered_messages_to
            keep = partial(self._forward_dead_letter, properties.forward_dead_lettered_messages_to, path, undeliverable)
        queue.dead_letters = partial(_keep_dead_letter, keep)
        if properties.forward_to is None:
            return queue.enqueue
        self._forwards[path.lower()] = properties.forward_to
        return partial(self._forward, properties.forward_to, undeliverable)

    def _add_dead_letters(self, path: str, properties: ReceivingProperties) -> Queue:
        lock_duration = _milliseconds(properties.lock_duration)
        queue = Queue(path, self._store, self._now, lock_duration=lock_duration, expires=False)
        self.queues[path.lower()] = queue
        return queue

    def _forward(self, target: str, undeliverable: Queue, content: Content) -> None:
        try:
            self.destinations[target.lower()].publish([content])
        except errors.ServiceBusError as error:
            undeliverable.enqueue(content.modified(dead_letter_properties(error.condition, error.description)))

    def _forward_dead_letter(
        self, target: str, source: str, undeliverable: Queue, content: Content, *, delivery_count: int
    ) -> None:
        try:
            self.destinations[target.lower()].publish([content.annotated(DEAD_LETTER_SOURCE, source)])
        except errors.ServiceBusError:
            undeliverable.enqueue(content, delivery_count=delivery_count)

    def _number(self, topic: int, deliver: Callable[[Content], None], content: Content) -> None:
        """Give a message the topic's sequence number, unless it had one before it was forwarded here."""
        if content.annotation(ENQUEUE_SEQUENCE_NUMBER) is None:
            content = content.annotated(ENQUEUE_SEQUENCE_NUMBER, self._store.next_sequence(topic))
        deliver(content)

    def _check_forwards(self) -> None:
        for source, target in self._forwards.items():
            hops = 0
            at: str | None = source
            while at is not None:
                hops += at in self._forwards
                following = self._forwards.get(at)
                if following is not None and following.lower() not in self.destinations:
                    raise TopologyError(f"'{source}' forwards to '{target}', which leads to no queue or topic.")
                at = following.lower() if following else None
                if hops > _MOST_HOPS:
                    raise TopologyError(f"'{source}' forwards in a circle, or over more than {_MOST_HOPS} hops.")


def _fan_out(subscriptions: Sequence[tuple[Callable[[Content], None], Predicate]], content: Content) -> None:
    for take, matches in subscriptions:
        if matches(content):
            take(content)


def _keep_dead_letter(keep: _Keep, content: Content, delivery_count: int, properties: dict[str, Any]) -> None:
    keep(content.modified(properties), delivery_count=delivery_count)


def _predicate(topic: str, subscription: str, compile_rules: Callable[[], Predicate]) -> Predicate:
    try:
        return compile_rules()
    except UnsupportedFilterError as error:
        raise TopologyError(f"topic '{topic}', subscription '{subscription}': {error}") from error


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
