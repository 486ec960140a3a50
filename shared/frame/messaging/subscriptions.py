"""How a context hears of events: a subscription with a trigger, whose messages can also be given to it by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import azure.functions as func

from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.retries import pause_after, with_retries
from shared.frame.messaging.wire import from_body
from shared.frame.platform import telemetry
from shared.frame.platform.minutes import MINUTES

type Consume = Callable[[Envelope], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Consumer:
    """What a subscription's events do; safe to repeat, in any order, and beside itself.

    Attributes:
        name: the trigger's name in Azure, unique in the app.
        topic: the topic.
        subscription: its subscription.
        consume: takes one event in.
    """

    name: str
    topic: str
    subscription: str
    consume: Consume


def trigger(blueprint: func.Blueprint, consumer: Consumer) -> None:
    """Give a consumer its messages, in no order, and now and then one of them twice at the same time.

    Without sessions, which hold a slot after their last message and are accepted a few at a time (ADR 21). Binary,
    because the host would else take top-level properties of a JSON body for the message's own metadata. A message that
    fails is held for a moment before it is given back: Service Bus would deliver it again at once.
    """

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
        except Exception:
            await asyncio.sleep(pause_after(attempt))
            raise
        finally:
            MINUTES.soon()
