"""Subscriptions: each has a consumer, which gets its messages from a trigger or from a dead-letter replay."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import azure.functions as func

from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.retries import OfAnotherRelease, pause_after, pause_for_release, with_retries
from shared.frame.messaging.wire import from_body
from shared.frame.platform import telemetry
from shared.frame.platform.activity import ACTIVITY
from shared.kernel.refusals import Unavailable

type Consume = Callable[[Envelope], Awaitable[None]]
type Takes = Callable[[str], bool]

HELD_FOR_RELEASE = 32
"""Messages that a function holds at a time for another release: half of the calls that host.json grants, so that it
holds up nothing else. Those above have the pauses of any other failure."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer of a subscription's events. It is safe to repeat, in any order, and at the same time.

    Attributes:
        name: the trigger's name in Azure, unique in the app.
        topic: the topic.
        subscription: its subscription.
        consume: takes one event in.
        takes: tells whether events of a stored type change anything; an earlier version's does if today's does. The
            subscription's rule keeps away what is written today and ignored (infra/local/rules.py); the consumer
            ignores what comes in spite of it.
    """

    name: str
    topic: str
    subscription: str
    consume: Consume
    takes: Takes = lambda _: True


class SubscriptionClosed(Unavailable):
    """A subscription is missing, disabled or forbidden, so its consumer gets nothing, and waiting does not help (503).

    Attributes:
        why: what is wrong with it.
    """

    def __init__(self, topic: str, subscription: str, why: str) -> None:
        super().__init__("subscription-closed", f"{topic}/{subscription} cannot be read: {why}.", retry_after=60)
        self.why = why


def trigger(blueprint: func.Blueprint, consumer: Consumer) -> None:
    """Make a trigger for a consumer. Messages come in any order, and one may come twice at the same time.

    The trigger uses no sessions: they hold a slot after their last message, and the host accepts few at a time (ADR
    21). Its data type is binary, because the host takes top-level properties of a JSON body for the message's metadata.
    A failed message is held for a moment before it is given back: Service Bus would deliver it again at once.
    """
    for_release = asyncio.Semaphore(HELD_FOR_RELEASE)

    @blueprint.function_name(consumer.name)
    @blueprint.service_bus_topic_trigger(
        arg_name="message",
        topic_name=consumer.topic,
        subscription_name=consumer.subscription,
        connection="ServiceBusConnection",
        data_type=func.DataType.BINARY,
    )
    async def receive(message: func.ServiceBusMessage, context: func.Context) -> None:
        attempt = message.delivery_count or 1
        try:
            envelope = from_body(message.get_body())
            sent = (message.application_properties or {}).get("traceparent")
            invocation = context.trace_context.trace_parent
            with telemetry.processing(consumer.topic, consumer.subscription, envelope, sent, invocation, attempt):
                await with_retries(lambda: consumer.consume(envelope))
        except Exception as error:
            if isinstance(error, OfAnotherRelease) and not for_release.locked():
                async with for_release:  # has room, so nothing waits here
                    await asyncio.sleep(pause_for_release(attempt))
            else:
                await asyncio.sleep(pause_after(attempt, error))
            raise
        finally:
            ACTIVITY.flush_soon()
