"""Service Bus triggers: messages under peek-lock from a queue or a subscription into functions.

The pump keeps one AMQP connection per namespace with all links multiplexed on it, as the .NET host does. The Python
SDK's receiver opens a connection of its own for every session and spends about 40 ms of CPU on it; here accepting a
session costs one attach.

Sessions: up to maxConcurrentSessions are held, one message of each at a time and in order. A session keeps its slot
until it has been idle for sessionIdleTimeout, whoever else waits for one; its lock is renewed for
maxAutoLockRenewalDuration after the accept. Without sessions, maxConcurrentCalls messages are handled at a time. A
message is completed when the function returns and abandoned when it raises, whereupon the broker delivers it again
until maxDeliveryCount.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from infra.local.host import messages
from infra.local.host.amqp import Connection
from infra.local.host.consumer import FIRST_RETRY, LAST_RETRY, Consumer
from infra.local.host.links import AmqpError, Incoming
from infra.local.host.namespace import Namespace
from infra.local.host.rpc import FunctionFailed, Invoke
from infra.local.host.settings import ServiceBusOptions
from infra.local.host.subscriptions import Subscription
from infra.local.host.tasks import Tasks
from infra.local.host.traces import traceparent_of

log = logging.getLogger("host.servicebus")


class ServiceBusPump:
    """All Service Bus triggers of an app."""

    def __init__(self, subscriptions: Iterable[Subscription], options: ServiceBusOptions, invoke: Invoke) -> None:
        self._subscriptions = list(subscriptions)
        self._options = options
        self._call = invoke
        self._stop = asyncio.Event()
        self._tasks = Tasks()

    async def run(self) -> None:
        """Connect and receive until stopped."""
        by_namespace: dict[Namespace, list[Subscription]] = {}
        for subscription in self._subscriptions:
            by_namespace.setdefault(subscription.namespace, []).append(subscription)
        async with asyncio.TaskGroup() as group:
            receiving = [group.create_task(self._keep_connected(*item)) for item in by_namespace.items()]
            await self._stop.wait()
            await self._tasks.stop()
            for task in receiving:
                task.cancel()

    async def stop(self, limit: timedelta) -> None:
        """Receive no more messages, let running functions finish within the limit, and give the other messages back."""
        self._tasks.stopping = True
        self._stop.set()
        await self._tasks.handled(limit)
        self._tasks.give_up()

    async def _keep_connected(self, namespace: Namespace, subscriptions: list[Subscription]) -> None:
        broker = f"{namespace.host}:{namespace.port}"
        retry, waiting = FIRST_RETRY, False
        while not self._tasks.stopping:
            try:
                connection = await Connection.open(namespace.host, namespace.port)
            except (OSError, AmqpError) as error:
                if not waiting:
                    reason = str(error) or "it does not answer"
                    log.warning("no Service Bus at %s (%s); trying again until there is", broker, reason)
                waiting = True
                await asyncio.sleep(retry)
                retry = min(2 * retry, LAST_RETRY)
                continue
            log.info("connected to Service Bus at %s", broker)
            retry, waiting = FIRST_RETRY, False
            try:
                await self._use(connection, subscriptions)
            finally:
                await connection.close()
            if not self._tasks.stopping:
                log.warning("lost Service Bus at %s (%s)", broker, connection.closed.result())

    async def _use(self, connection: Connection, subscriptions: list[Subscription]) -> None:
        """Serve the subscriptions of a namespace until the connection is lost."""
        consumers = [asyncio.create_task(self._consume(connection, each)) for each in subscriptions]
        ends: list[asyncio.Future[Any]] = [connection.closed, *consumers]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for consumer in consumers:
                consumer.cancel()
            outcomes = await asyncio.gather(*consumers, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _consume(self, connection: Connection, subscription: Subscription) -> None:
        await Consumer(connection, subscription, self._options, self._tasks, self._invoke).run()
        await asyncio.wait([connection.closed])  # in a stop, functions that still run have yet to settle

    async def _invoke(self, subscription: Subscription, incoming: Incoming) -> bool:
        """Run the function; False when it raised, which is logged: in full the first time."""
        name, message = subscription.function.name, incoming.message
        try:
            data, metadata = messages.trigger_input(message, incoming.lock_token, binary=subscription.binary)
        except messages.UnreadableBody as error:
            log.error("%s failed: %s", name, error)  # noqa: TRY400 -- the message is the whole story
            return False
        parent, state = messages.trace_context(message)
        running = asyncio.ensure_future(
            self._call(
                subscription.function, data, metadata=metadata, traceparent=traceparent_of(parent), tracestate=state
            )
        )
        try:
            await asyncio.shield(running)  # a running invocation is not cancelled: it may be past its commit
        except FunctionFailed as failure:
            delivery = message.delivery_count + 1  # AMQP counts those that failed
            story = f"{failure.summary}\n{failure}" if delivery == 1 else failure.summary
            log.error("%s failed on message %s, delivery %d: %s", name, message.id, delivery, story)  # noqa: TRY400 -- the traceback is in it
            return False
        return True
