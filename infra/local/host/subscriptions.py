"""Service Bus triggers as an app declares them."""

import asyncio
import logging
import os
from dataclasses import dataclass

from infra.local.host.namespace import Namespace, namespace_of
from infra.local.host.rpc import Function
from infra.local.host.settings import ServiceBusOptions, SettingsError

log = logging.getLogger("host.servicebus")


@dataclass(eq=False, slots=True)
class Subscription:
    """One Service-Bus-triggered function: the entity of its messages, and the messages that it has received.

    Attributes:
        function: The function.
        namespace: The broker.
        path: The queue, or ``TOPIC/Subscriptions/NAME``.
        sessions: The entity requires sessions.
        binary: The body goes over as bytes, whatever is in it.
        slots: One for each session, or without sessions each message, that may be at hand.
    """

    function: Function
    namespace: Namespace
    path: str
    sessions: bool
    binary: bool
    slots: asyncio.Semaphore
    _state: str = ""

    def report(self, state: str, level: int = logging.WARNING) -> None:
        """Log a change of state once, however often it is found again."""
        if state != self._state:
            self._state = state
            log.log(level, "%s: %s: %s", self.function.name, self.path, state)


def subscription_of(function: Function, options: ServiceBusOptions) -> Subscription:
    """Read a trigger's binding.

    Raises:
        SettingsError: The trigger needs a feature that this host lacks, or its connection is not usable here.
    """
    trigger = function.trigger
    if str(trigger.get("cardinality", "one")).lower() != "one":
        raise SettingsError(f"{function.name}: cardinality many is not supported by this host: use one")
    if trigger.get("autoCompleteMessages", True) is not True:
        raise SettingsError(f"{function.name}: autoCompleteMessages=False is not supported by this host")
    queue, topic, subscription = (trigger.get(key) for key in ("queueName", "topicName", "subscriptionName"))
    if not queue and not (topic and subscription):
        raise SettingsError(f"{function.name}: the trigger names neither a queue nor a topic with a subscription")
    sessions = bool(trigger.get("isSessionsEnabled", False))
    return Subscription(
        function=function,
        namespace=namespace_of(function.name, str(trigger.get("connection") or "AzureWebJobsServiceBus"), os.environ),
        path=str(queue or f"{topic}/Subscriptions/{subscription}"),
        sessions=sessions,
        binary=str(trigger.get("dataType", "")).lower() in {"binary", "stream"},
        slots=asyncio.Semaphore(options.max_concurrent_sessions if sessions else options.max_concurrent_calls),
    )
