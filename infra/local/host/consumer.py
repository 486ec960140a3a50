"""One Service Bus trigger on one connection: messages in, invocations, settlements out."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from proton import Delivery

from infra.local.host.amqp import Connection
from infra.local.host.links import AmqpError, Incoming, Receiver
from infra.local.host.locks import keep_session, kept_message, put_token
from infra.local.host.settings import ServiceBusOptions
from infra.local.host.subscriptions import Subscription
from infra.local.host.tasks import Tasks

log = logging.getLogger("host.servicebus")

FIRST_RETRY, LAST_RETRY = 0.05, 2.0
"""Seconds between attempts to reach a broker or an entity; each is twice the one before."""
_NO_SESSION_RETRY = 0.1
"""Seconds until a broker that does not hold the attach is asked again for a session."""
_SESSION_WAIT = 60.0
"""Seconds for which the broker may hold the attach until a session has messages."""
_NO_SESSION = "com.microsoft:timeout"

type Invoke = Callable[[Subscription, Incoming], Awaitable[bool]]
"""Runs the function; False when it raised."""


class Consumer:
    """Receives for one subscription until its connection is lost or the tasks are stopped."""

    def __init__(
        self,
        connection: Connection,
        subscription: Subscription,
        options: ServiceBusOptions,
        tasks: Tasks,
        invoke: Invoke,
    ) -> None:
        self._connection = connection
        self._subscription = subscription
        self._name = subscription.function.name
        self._options = options
        self._tasks = tasks
        self._invoke = invoke

    async def run(self) -> None:
        """Attach, and attach again whenever a link ends."""
        await put_token(self._connection, self._subscription)
        if not self._subscription.sessions:
            await self._receive()
            return
        # as many accepts are under way at a time as .NET's processor has (MaxConcurrentAcceptSessions); each has a slot
        acceptors = min(self._options.max_concurrent_sessions, 2 * (os.cpu_count() or 1))
        async with asyncio.TaskGroup() as group:
            for _ in range(acceptors):
                group.create_task(self._accept())

    @property
    def _receiving(self) -> bool:
        return not (self._connection.closed.done() or self._tasks.stopping)

    async def _accept(self) -> None:
        """Accept one session after another, each into a task of its own."""
        slots, path = self._subscription.slots, self._subscription.path
        retry = FIRST_RETRY
        while self._receiving:
            await slots.acquire()
            asked = time.monotonic()
            try:
                receiver = await self._tasks.interruptible(self._connection.attach(path, session_wait=_SESSION_WAIT))
            except AmqpError as error:
                slots.release()
                if error.condition != _NO_SESSION:
                    retry = await self._pause_after(error, retry)
                    continue
                self._subscription.report("receiving", logging.INFO)
                if time.monotonic() - asked < _NO_SESSION_RETRY:
                    await asyncio.sleep(_NO_SESSION_RETRY)
            except asyncio.CancelledError:
                slots.release()
                raise
            else:
                self._subscription.report("receiving", logging.INFO)
                self._tasks.spawn(self._session(receiver)).add_done_callback(lambda _: slots.release())
            retry = FIRST_RETRY

    async def _session(self, receiver: Receiver) -> None:
        """Handle the messages of one session, one at a time, until it has been idle or its lock is lost."""
        longest = self._options.max_auto_lock_renewal / timedelta(seconds=1)
        renewal = asyncio.create_task(keep_session(self._connection, self._subscription, receiver, longest))
        try:
            receiver.flow(1)
            while incoming := await self._tasks.interruptible(self._next(receiver)):
                await self._handle(receiver, incoming)
                if self._tasks.stopping:
                    break
                receiver.flow(1)
        except AmqpError as error:
            if not self._connection.closed.done():
                log.warning("%s: session %s ended: %s", self._name, receiver.session_id, error)
        finally:
            renewal.cancel()
            await receiver.close()

    async def _next(self, receiver: Receiver) -> Incoming | None:
        """Wait for the session's next message; None when it has been idle for sessionIdleTimeout, and no sooner."""
        try:
            async with asyncio.timeout(self._options.session_idle_timeout / timedelta(seconds=1)):
                return await receiver.receive()
        except TimeoutError:
            return await receiver.drain()

    async def _receive(self) -> None:
        """Receive from an entity without sessions."""
        retry = FIRST_RETRY
        while self._receiving:
            try:
                receiver = await self._connection.attach(self._subscription.path)
            except AmqpError as error:
                retry = await self._pause_after(error, retry)
                continue
            self._subscription.report("receiving", logging.INFO)
            calls = [self._tasks.spawn(self._call(receiver)) for _ in range(self._options.max_concurrent_calls)]
            await asyncio.wait(calls)
            retry = FIRST_RETRY

    async def _call(self, receiver: Receiver) -> None:
        """Be one of the maxConcurrentCalls: one credit, one message, one invocation at a time."""
        longest = self._options.max_auto_lock_renewal / timedelta(seconds=1)
        with contextlib.suppress(AmqpError):  # the link has ended
            while not self._tasks.stopping:
                async with self._subscription.slots:
                    receiver.flow(1)
                    incoming = await self._tasks.interruptible(receiver.receive())
                    with kept_message(self._connection, self._subscription, incoming, longest):
                        await self._handle(receiver, incoming)

    async def _handle(self, receiver: Receiver, incoming: Incoming) -> None:
        """Run the function on a message and settle it; one that failed is back with the broker when this returns."""
        try:
            with self._tasks.handling():
                succeeded = await self._invoke(self._subscription, incoming)
        except asyncio.CancelledError:
            receiver.settle(incoming, Delivery.RELEASED)
            raise
        settled = receiver.settle(incoming, Delivery.ACCEPTED if succeeded else Delivery.MODIFIED)
        settled.add_done_callback(lambda done: self._report(incoming, done.result()))
        if not succeeded:
            await asyncio.wait([settled])

    def _report(self, incoming: Incoming, error: AmqpError | None) -> None:
        if error and not self._connection.closed.done():
            log.warning("%s: message %s will come again: %s", self._name, incoming.message.id, error)

    async def _pause_after(self, error: AmqpError, retry: float) -> float:
        """Report what is wrong with the entity, wait, and return how long to wait the next time."""
        if not self._connection.closed.done():
            self._subscription.report(str(error))
            await asyncio.sleep(retry)
        return min(2 * retry, LAST_RETRY)
