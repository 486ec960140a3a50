"""Links of an AMQP connection: a receiver under peek-lock, and a request-response node."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cproton  # type: ignore[import-untyped]  # proton ships no type information
from proton import Delivery, Described, Message, Terminus, symbol

SESSION_FILTER = symbol("com.microsoft:session-filter")
REPLY_TIMEOUT = 10.0
"""Seconds that a broker gets for its part in an attach, a request, a drain or a settlement."""

_LOCKED_UNTIL = symbol("com.microsoft:locked-until-utc")
_TICKS_AT_EPOCH = 621_355_968_000_000_000  # .NET counts 100 ns from the year 1; this is 1970-01-01
_TICKS_PER_SECOND = 10_000_000


class AmqpError(Exception):
    """The peer refused or ended something; ``condition`` is the AMQP error condition."""

    def __init__(self, condition: str, description: str = "") -> None:
        super().__init__(f"{condition}: {description}" if description else condition)
        self.condition = condition


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message under lock, and the delivery by which it is settled."""

    message: Any
    delivery: Any
    tag: bytes

    @property
    def lock_token(self) -> uuid.UUID:
        """Service Bus uses the lock token, in .NET's byte order, as the delivery tag."""
        return uuid.UUID(bytes_le=self.tag)


class Receiver:
    """A receiving link in peek-lock mode.

    Attributes:
        name: The link's name.
        session_id: The session that the broker has locked for this link, once it is open.
        locked_until: End of the session's lock as a Unix time in seconds.
        opened: Done when the broker has granted the link.
        closed: Fails with an AmqpError when the link, or its connection, has ended.
    """

    def __init__(self, link: Any, wake: Callable[[], None]) -> None:
        """Take over a link that is not open yet; ``wake`` has the connection send what was asked for."""
        self.name: str = link.name
        self.session_id: str | None = None
        self.locked_until: float | None = None
        self._link = link
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._queue: asyncio.Queue[Incoming] = asyncio.Queue()
        self._unsettled: dict[bytes, asyncio.Future[AmqpError | None]] = {}
        self._drained = asyncio.Event()

    def flow(self, credit: int) -> None:
        """Allow the broker to send that many more messages."""
        if not self.closed.done():
            self._link.flow(credit)
            self._wake()

    async def receive(self) -> Incoming:
        """Wait for the next message.

        Raises:
            AmqpError: The link or the connection has ended.
        """
        try:
            return await self._queue.get()
        except asyncio.QueueShutDown:
            raise self._end() from None

    async def drain(self) -> Incoming | None:
        """Take back unused credit; a message that was already on its way is returned instead.

        Raises:
            AmqpError: The link has ended, or the broker does not answer.
        """
        if self._queue.empty() and not self.closed.done():
            self._drained.clear()
            self._link.drain(0)
            self._wake()
            try:
                async with asyncio.timeout(REPLY_TIMEOUT):
                    await self._drained.wait()
            except TimeoutError:
                raise AmqpError("amqp:timeout", "no answer to a drain") from None
        if self.closed.done():
            raise self._end()
        return None if self._queue.empty() else self._queue.get_nowait()

    def settle(self, incoming: Incoming, outcome: int) -> asyncio.Future[AmqpError | None]:
        """Complete (ACCEPTED), abandon (MODIFIED) or give back (RELEASED) a message.

        Returns:
            A future of the broker's word: None, or the error by which it refused.
        """
        settled: asyncio.Future[AmqpError | None] = self._loop.create_future()
        if self.closed.done():
            settled.set_result(self._end())
            return settled
        self._unsettled[incoming.tag] = settled
        if outcome == Delivery.MODIFIED:
            incoming.delivery.local.failed = True
        incoming.delivery.update(outcome)
        self._wake()
        return settled

    async def close(self) -> None:
        """Give back what was not handled, wait for settlements, then detach, which releases a session."""
        while not self.closed.done() and not self._queue.empty():
            self.settle(self._queue.get_nowait(), Delivery.RELEASED)
        if self._unsettled:
            await asyncio.wait(self._unsettled.values(), timeout=REPLY_TIMEOUT)
        self.detach()
        if not self.closed.done():
            await asyncio.wait([self.closed], timeout=REPLY_TIMEOUT)

    def detach(self) -> None:
        """Ask for the end of the link without waiting for it."""
        if not self.closed.done():
            self._link.close()
            self._wake()

    def on_remote_open(self) -> None:
        """Take the attach for granted unless its source is null, which announces a refusal."""
        if self._link.remote_source.type == Terminus.UNSPECIFIED or self.opened.done():
            return
        session_id = _filters(self._link.remote_source).get(SESSION_FILTER)
        session_id = session_id.value if isinstance(session_id, Described) else session_id
        self.session_id = None if session_id is None else str(session_id)
        ticks = (self._link.remote_properties or {}).get(_LOCKED_UNTIL)
        self.locked_until = None if ticks is None else (int(ticks) - _TICKS_AT_EPOCH) / _TICKS_PER_SECOND
        self.opened.set_result(None)

    def on_delivery(self, delivery: Any) -> None:
        """Take in a message, or the broker's answer to a settlement."""
        if delivery.readable and not delivery.partial:
            message = Message()
            message.decode(self._link.recv(delivery.pending))
            self._link.advance()
            self._queue.put_nowait(Incoming(message, delivery, _tag(delivery)))
            self._drained.set()
        elif delivery.updated and (delivery.settled or delivery.remote_state):
            settled = self._unsettled.pop(_tag(delivery), None)
            if settled and not settled.done():
                condition = delivery.remote.condition
                settled.set_result(condition and error_of(condition))
            delivery.settle()

    def on_flow(self) -> None:
        """Notice that the broker has no more to send for the credit it had."""
        if self._link.credit == 0:
            self._drained.set()

    def on_closed(self, error: AmqpError) -> None:
        """End every wait on this link."""
        if self.closed.done():
            return
        for future in (self.closed, self.opened):
            if not future.done():
                future.set_exception(error)
                future.exception()  # nobody need wait for the end of an idle link: asyncio is not to complain
        for settled in self._unsettled.values():
            if not settled.done():
                settled.set_result(error)
        self._unsettled.clear()
        self._queue.shutdown(immediate=True)  # their locks are gone with the link
        self._drained.set()

    def _end(self) -> AmqpError:
        error = self.closed.exception() if self.closed.done() else None
        return error if isinstance(error, AmqpError) else AmqpError("amqp:link:detach-forced")


class Node:
    """A request-response node such as ``$cbs``: a sending link, and a receiver of the replies."""

    def __init__(self, sender: Any, receiver: Receiver, reply_to: str, wake: Callable[[], None]) -> None:
        self.receiver = receiver
        self._sender = sender
        self._reply_to = reply_to
        self._wake = wake
        self._credit = asyncio.Event()
        self._turn = asyncio.Lock()

    async def request(self, properties: Mapping[str, Any], body: Any) -> Any:
        """Send a request and return the body of the reply.

        Raises:
            AmqpError: The node is not there, does not answer, or answers with a status outside 200 to 299.
        """
        request_id = str(uuid.uuid4())
        message = Message(body=body, properties=dict(properties), id=request_id, reply_to=self._reply_to)
        try:
            async with self._turn, asyncio.timeout(REPLY_TIMEOUT):
                await self.receiver.opened
                await self._credit.wait()
                self._sender.send(message)
                self._wake()
                reply = await self._reply(request_id)
        except TimeoutError:
            raise AmqpError("amqp:timeout", "no reply to a request") from None
        answer = {str(key).lower().replace("-", ""): value for key, value in (reply.properties or {}).items()}
        status = int(answer.get("statuscode", 0))
        if not 200 <= status < 300:  # noqa: PLR2004 -- the success range of HTTP, which these nodes borrow
            condition = answer.get("errorcondition") or f"status {status}"
            raise AmqpError(str(condition), str(answer.get("statusdescription", "")))
        return reply.body

    def on_flow(self) -> None:
        """Notice that the node takes requests."""
        if self._sender.credit > 0:
            self._credit.set()

    async def _reply(self, request_id: str) -> Any:
        while True:
            incoming = await self.receiver.receive()
            self.receiver.settle(incoming, Delivery.ACCEPTED)
            self.receiver.flow(1)
            if incoming.message.correlation_id == request_id:  # not a late reply to a request given up
                return incoming.message


def error_of(condition: Any) -> AmqpError:
    """Turn proton's Condition, or the lack of one, into an exception."""
    if condition is None:
        return AmqpError("amqp:connection:lost")
    return AmqpError(condition.name, condition.description or "")


def _tag(delivery: Any) -> bytes:
    """Read a delivery tag as bytes: proton's own property decodes it as UTF-8, which a lock token is not."""
    tag: bytes = cproton.bytes2pybytes(cproton.lib.pn_delivery_tag(delivery._impl))  # noqa: SLF001 -- see above
    return tag


def _filters(source: Any) -> Mapping[Any, Any]:
    data = source.filter
    data.rewind()
    return data.get_object() or {} if data.next() else {}
