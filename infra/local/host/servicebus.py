"""Service Bus triggers: messages under peek-lock from a queue or a subscription into functions.

The pump keeps one AMQP connection per namespace with all links multiplexed on it, as the .NET host does. The Python
SDK's receiver opens a connection of its own for every session and spends about 40 ms of CPU on it, far too slow where
every order is a session; here accepting a session costs one attach. Everything in this module runs on the event loop
of a thread of its own, so that locks are renewed and heartbeats sent even while a function blocks the worker's loop;
only the invocations themselves cross over to that loop.

Sessions: up to maxConcurrentSessions are held, one message of each at a time and in order, until a session has been
quiet for sessionIdleTimeout. Where there are no sessions, maxConcurrentCalls messages are handled at a time. Messages
are completed when the function returns and abandoned when it raises, whereupon the broker delivers them again until
maxDeliveryCount.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from proton import UNDESCRIBED, Array, Data, Delivery

from infra.local.host import amqp, messages, worker
from infra.local.host.amqp import AmqpError, Incoming, Receiver
from infra.local.host.http import traceparent_or_new
from infra.local.host.namespace import Namespace, namespace_of
from infra.local.host.settings import ServiceBusOptions, SettingsError

log = logging.getLogger("host.servicebus")

_FIRST_RETRY, _LAST_RETRY = 0.05, 2.0
"""Seconds between attempts to reach a broker or an entity; each is twice the one before."""
_NO_SESSION_RETRY = 0.1
"""Seconds until a broker that does not hold the attach is asked again for a session."""
_SESSION_WAIT = 60.0
"""Seconds for which the broker may hold the attach until a session has messages."""
_NO_SESSION = "com.microsoft:timeout"


@dataclass(eq=False, slots=True)
class Subscription:
    """One Service-Bus-triggered function: where its messages are, and how many it handles at a time."""

    function: worker.Function
    namespace: Namespace
    path: str
    sessions: bool
    binary: bool
    slots: asyncio.Semaphore
    state: str = ""
    busy: dict[str, asyncio.Future[bool]] = field(default_factory=dict)
    """Invocations by session that outlived their connection: the session's next message waits for them."""

    def report(self, state: str, level: int = logging.WARNING) -> None:
        """Log a change of state once, however often it is found again."""
        if state != self.state:
            self.state = state
            log.log(level, "%s: %s: %s", self.function.name, self.path, state)


def subscription_of(function: worker.Function, options: ServiceBusOptions) -> Subscription:
    """Read a trigger's binding.

    Raises:
        SettingsError: The trigger asks for what this host does not serve, or its connection is not usable here.
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


class ServiceBusPump:
    """All Service Bus triggers of an app on one thread."""

    def __init__(self, subscriptions: Iterable[Subscription], options: ServiceBusOptions) -> None:
        self._subscriptions = list(subscriptions)
        self._options = options
        self._worker_loop = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handling: set[asyncio.Task[Any]] = set()
        self._waiting: set[asyncio.Task[Any]] = set()
        self.ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="servicebus", daemon=True)

    def start(self) -> None:
        """Begin to connect and receive."""
        self._thread.start()

    async def stop(self, limit: timedelta) -> None:
        """Receive no more, let running functions finish within the limit, and give back what is left."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        deadline = time.monotonic() + limit.total_seconds()
        while self._handling and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if self._handling:
            self._loop.call_soon_threadsafe(self._cancel_all)
        await self.ended.wait()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except Exception:
            log.exception("the Service Bus pump failed")
        finally:
            self._worker_loop.call_soon_threadsafe(self.ended.set)

    def _cancel_all(self) -> None:
        for task in self._handling:
            task.cancel()

    async def _serve(self) -> None:
        by_namespace: dict[Namespace, list[Subscription]] = {}
        for subscription in self._subscriptions:
            by_namespace.setdefault(subscription.namespace, []).append(subscription)
        await asyncio.gather(self._stopping.wait(), *(self._keep_connected(*item) for item in by_namespace.items()))

    async def _keep_connected(self, namespace: Namespace, subscriptions: list[Subscription]) -> None:
        broker = f"{namespace.host}:{namespace.port}"
        retry, down = _FIRST_RETRY, False
        while not self._stopping.is_set():
            try:
                connection = await amqp.Connection.open(namespace.host, namespace.port)
            except (OSError, AmqpError) as error:
                if not down:
                    log.warning("no Service Bus at %s (%s); trying again until there is", broker, error)
                down = True
                await self._pause(retry)
                retry = min(2 * retry, _LAST_RETRY)
                continue
            log.info("connected to Service Bus at %s", broker)
            retry, down = _FIRST_RETRY, True
            await self._use(connection, subscriptions)
            if not self._stopping.is_set():
                log.warning("lost Service Bus at %s (%s)", broker, connection.closed.result())

    async def _use(self, connection: amqp.Connection, subscriptions: list[Subscription]) -> None:
        """Serve all subscriptions until the connection is lost or the host stops."""
        receiving = [
            asyncio.create_task(self._accept(connection, each) if each.sessions else self._receive(connection, each))
            for each in subscriptions
        ]
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([connection.closed, stopping, *receiving], return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, *receiving):
            task.cancel()
        await asyncio.gather(stopping, *receiving, return_exceptions=True)
        while self._stopping.is_set() and self._tasks:
            for task in self._waiting:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=_NO_SESSION_RETRY)
        if self._stopping.is_set():
            await connection.close()

    async def _accept(self, connection: amqp.Connection, subscription: Subscription) -> None:
        """Keep a few attaches waiting for the next session, as many as .NET's MaxConcurrentAcceptSessions."""
        await self._authorise(connection, subscription)
        acceptors = min(self._options.max_concurrent_sessions, 2 * (os.cpu_count() or 1))
        async with asyncio.TaskGroup() as group:
            for _ in range(acceptors):
                group.create_task(self._accept_one_after_another(connection, subscription))

    async def _accept_one_after_another(self, connection: amqp.Connection, subscription: Subscription) -> None:
        retry = _FIRST_RETRY
        while not connection.closed.done():
            await subscription.slots.acquire()
            asked = time.monotonic()
            try:
                receiver = await connection.attach(
                    subscription.path, session=True, wait=_SESSION_WAIT, group=subscription.path
                )
            except AmqpError as error:
                subscription.slots.release()
                if error.condition == _NO_SESSION:
                    subscription.report("receiving", logging.INFO)
                    if time.monotonic() - asked < _NO_SESSION_RETRY:
                        await self._pause(_NO_SESSION_RETRY)
                elif not connection.closed.done():
                    subscription.report(str(error))
                    await self._pause(retry)
                    retry = min(2 * retry, _LAST_RETRY)
            except asyncio.CancelledError:
                subscription.slots.release()
                raise
            else:
                subscription.report("receiving", logging.INFO)
                retry = _FIRST_RETRY
                task = self._spawn(self._session(connection, subscription, receiver))
                task.add_done_callback(lambda _: subscription.slots.release())

    async def _session(self, connection: amqp.Connection, subscription: Subscription, receiver: Receiver) -> None:
        """Handle the messages of one session, one at a time, until there are no more."""
        session_id = receiver.session_id or ""
        renewal = asyncio.create_task(self._renew_session(connection, subscription, receiver))
        try:
            if earlier := subscription.busy.get(session_id):
                await asyncio.wait([earlier])
            receiver.flow(1)
            while incoming := await self._wait(self._next_of_session(receiver)):
                await self._handle(connection, subscription, receiver, incoming)
                if self._stopping.is_set():
                    break
                receiver.flow(1)
        except AmqpError as error:
            if not connection.closed.done():
                log.warning("%s: session %s ended: %s", subscription.function.name, session_id, error)
        finally:
            renewal.cancel()
            await receiver.close()

    async def _next_of_session(self, receiver: Receiver) -> Incoming | None:
        try:
            async with asyncio.timeout(self._options.session_idle_timeout.total_seconds()):
                return await receiver.receive()
        except TimeoutError:
            return await receiver.drain()

    async def _receive(self, connection: amqp.Connection, subscription: Subscription) -> None:
        """Receive from an entity without sessions, attaching again whenever the link ends."""
        await self._authorise(connection, subscription)
        retry = _FIRST_RETRY
        while not connection.closed.done():
            try:
                receiver = await connection.attach(subscription.path, group=subscription.path)
            except AmqpError as error:
                if not connection.closed.done():
                    subscription.report(str(error))
                    await self._pause(retry)
                    retry = min(2 * retry, _LAST_RETRY)
                continue
            subscription.report("receiving", logging.INFO)
            calls = [
                self._spawn(self._calls(connection, subscription, receiver))
                for _ in range(self._options.max_concurrent_calls)
            ]
            await asyncio.wait(calls)

    async def _calls(self, connection: amqp.Connection, subscription: Subscription, receiver: Receiver) -> None:
        """Be one of the maxConcurrentCalls: one credit, one message, one invocation at a time."""
        with contextlib.suppress(AmqpError):  # the link has ended
            while not self._stopping.is_set():
                async with subscription.slots:
                    receiver.flow(1)
                    incoming = await self._wait(receiver.receive())
                    renewal = asyncio.create_task(self._renew_message(connection, subscription, incoming))
                    try:
                        await self._handle(connection, subscription, receiver, incoming)
                    finally:
                        renewal.cancel()

    async def _handle(
        self, connection: amqp.Connection, subscription: Subscription, receiver: Receiver, incoming: Incoming
    ) -> None:
        """Run the function on a message and settle it; a message that was abandoned is back before this returns."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- for the type checker: coroutines run in tasks
        self._handling.add(task)
        try:
            succeeded = await self._invoke(subscription, incoming)
        except asyncio.CancelledError:
            receiver.settle(incoming, Delivery.RELEASED)
            raise
        finally:
            self._handling.discard(task)
        settled = receiver.settle(incoming, Delivery.ACCEPTED if succeeded else Delivery.MODIFIED)
        settled.add_done_callback(lambda _: self._settled(connection, subscription, incoming, settled))
        if not succeeded:
            await asyncio.wait([settled])

    def _settled(
        self,
        connection: amqp.Connection,
        subscription: Subscription,
        incoming: Incoming,
        settled: asyncio.Future[AmqpError | None],
    ) -> None:
        error = None if settled.cancelled() or connection.closed.done() else settled.result()
        if error:
            name = subscription.function.name
            log.warning("%s: message %s was not settled and comes again: %s", name, incoming.message.id, error)

    async def _invoke(self, subscription: Subscription, incoming: Incoming) -> bool:
        """Run the function on the worker's loop; False when it raised, which is logged."""
        name, message = subscription.function.name, incoming.message
        try:
            data, metadata = messages.trigger_input(message, incoming.lock_token, binary=subscription.binary)
        except messages.UnreadableBody as error:
            log.error("%s failed: %s", name, error)  # noqa: TRY400 -- the message is the whole story
            return False
        parent, state = messages.trace_context(message)
        invocation = worker.invoke(
            subscription.function, data, metadata=metadata, traceparent=traceparent_or_new(parent), tracestate=state
        )
        running = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(invocation, self._worker_loop))
        session_id = message.group_id
        if session_id is not None:
            subscription.busy[session_id] = running
        try:
            await asyncio.shield(running)  # what has begun is never cut off: it may be past its commit
        except worker.FunctionFailed as failure:
            log.error("%s failed on message %s\n%s", name, message.id, failure)  # noqa: TRY400 -- it is the traceback
            return False
        finally:
            if running.done() and session_id is not None and subscription.busy.get(session_id) is running:
                del subscription.busy[session_id]
        return True

    async def _renew_session(self, connection: amqp.Connection, subscription: Subscription, receiver: Receiver) -> None:
        """Renew the lock of a session while it is held, unless its present message has run for too long."""
        until = receiver.locked_until
        while until is not None:
            await asyncio.sleep(max(until - time.time(), 1.0) / 2)
            until = await self._renew(
                connection,
                subscription,
                "renew-session-lock",
                {"session-id": receiver.session_id},
                {"associated-link-name": receiver.link.name},
            )

    async def _renew_message(self, connection: amqp.Connection, subscription: Subscription, incoming: Incoming) -> None:
        """Renew the lock of a message while its function runs, for no longer than maxAutoLockRenewalDuration."""
        until = messages.locked_until(incoming.message)
        end = time.time() + self._options.max_auto_lock_renewal.total_seconds()
        tokens = Array(UNDESCRIBED, Data.UUID, incoming.lock_token)
        while until is not None and until < end:
            await asyncio.sleep(max(until - time.time(), 1.0) / 2)
            until = await self._renew(connection, subscription, "renew-lock", {"lock-tokens": tokens}, {})

    async def _renew(
        self,
        connection: amqp.Connection,
        subscription: Subscription,
        operation: str,
        body: dict[str, object],
        properties: dict[str, str],
    ) -> float | None:
        """Ask for more time; the new end of the lock as a Unix time in seconds, or None when it was refused."""
        try:
            answer = await connection.request(
                f"{subscription.path}/$management", {"operation": f"com.microsoft:{operation}", **properties}, body
            )
        except (AmqpError, TimeoutError) as error:
            if not connection.closed.done():
                log.warning("%s: %s failed: %s", subscription.function.name, operation, error)
            return None
        moment = answer["expiration"] if "expiration" in answer else answer["expirations"].elements[0]
        return int(moment) / 1000

    async def _authorise(self, connection: amqp.Connection, subscription: Subscription) -> None:
        """Put a token for the entity, as the SDK does; a broker without ``$cbs`` asks for none."""
        namespace = subscription.namespace
        token, expiry = namespace.token(subscription.path)
        properties = {
            "operation": "put-token",
            "type": "servicebus.windows.net:sastoken",
            "name": namespace.audience(subscription.path),
            "expiration": expiry,
        }
        try:
            await connection.request("$cbs", properties, token)
        except (AmqpError, TimeoutError) as error:
            log.debug("no token put for %s: %s", subscription.path, error)

    async def _wait[T](self, awaitable: Coroutine[Any, Any, T]) -> T:
        """Wait as a task that a stop of the host may cancel."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- for the type checker: coroutines run in tasks
        self._waiting.add(task)
        try:
            return await awaitable
        finally:
            self._waiting.discard(task)

    async def _pause(self, seconds: float) -> None:
        """Sleep, but no longer than the host runs."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
