"""AMQP 1.0 for asyncio: proton's protocol engine on an asyncio stream, with many links on one connection.

Proton's own reactor is left aside: its engine does no I/O, so an asyncio protocol can feed it and every wait is an
ordinary await. What is implemented is what a receiver of Service Bus needs, with the names of the protocol.
"""

import asyncio
import itertools
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cproton  # type: ignore[import-untyped]  # proton ships no type information
from proton import Collector, Delivery, Described, Event, Link, Message, Terminus, Transport, symbol, uint
from proton import Connection as Engine

SESSION_FILTER = symbol("com.microsoft:session-filter")
TIMEOUT = symbol("com.microsoft:timeout")
LOCKED_UNTIL = symbol("com.microsoft:locked-until-utc")
TICKS_AT_EPOCH = 621_355_968_000_000_000
""".NET ticks (100 ns since the year 1) of 1970-01-01."""

_IDLE_TIMEOUT = 60.0  # seconds without a frame after which the peer is taken for dead
_REPLY_TIMEOUT = 10.0  # seconds that a broker gets for an attach, a request, a drain or a settlement


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
    """A receiving link in peek-lock mode."""

    def __init__(self, connection: "Connection", link: Any) -> None:
        self._connection = connection
        self.link = link
        self.opened: asyncio.Future[None] = connection.loop.create_future()
        self.closed: asyncio.Future[None] = connection.loop.create_future()
        self._queue: asyncio.Queue[Incoming] = asyncio.Queue()
        self._unsettled: dict[bytes, asyncio.Future[AmqpError | None]] = {}
        self._drained = asyncio.Event()

    @property
    def session_id(self) -> str | None:
        """The session that the broker has locked for this link."""
        value = _filters(self.link.remote_source).get(SESSION_FILTER)
        value = value.value if isinstance(value, Described) else value
        return None if value is None else str(value)

    @property
    def locked_until(self) -> float | None:
        """End of the session lock as a Unix time in seconds."""
        ticks = (self.link.remote_properties or {}).get(LOCKED_UNTIL)
        return None if ticks is None else (int(ticks) - TICKS_AT_EPOCH) / 10_000_000

    def flow(self, credit: int) -> None:
        """Allow the broker to send that many more messages."""
        self._drained.clear()
        self.link.flow(credit)
        self._connection.wake()

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
        """Take back unused credit; a message that was already on its way is returned and uses it up."""
        if not self._queue.empty():
            return self._queue.get_nowait()
        self._drained.clear()
        self.link.drain(0)
        self._connection.wake()
        async with asyncio.timeout(_REPLY_TIMEOUT):
            await self._drained.wait()
        if self.closed.done():
            raise self._end()
        return None if self._queue.empty() else self._queue.get_nowait()

    def settle(self, incoming: Incoming, outcome: int) -> asyncio.Future[AmqpError | None]:
        """Complete (ACCEPTED), abandon (MODIFIED) or give back (RELEASED) a message.

        Returns:
            A future of the broker's word: None, or the error by which it refused.
        """
        settled: asyncio.Future[AmqpError | None] = self._connection.loop.create_future()
        if self.closed.done():
            settled.set_result(self._end())
            return settled
        self._unsettled[incoming.tag] = settled
        if outcome == Delivery.MODIFIED:
            incoming.delivery.local.failed = True
        incoming.delivery.update(outcome)
        self._connection.wake()
        return settled

    async def close(self) -> None:
        """Give back what was not handled, wait for settlements, then detach, which releases a session."""
        while not self._queue.empty():
            self.settle(self._queue.get_nowait(), Delivery.RELEASED)
        if self._unsettled:
            await asyncio.wait(self._unsettled.values(), timeout=_REPLY_TIMEOUT)
        if not self.closed.done():
            self.link.close()
            self._connection.wake()
            await asyncio.wait([self.closed], timeout=_REPLY_TIMEOUT)

    def on_remote_open(self) -> None:
        """Take the attach for granted unless its source is null, which announces a refusal."""
        if self.link.remote_source.type != Terminus.UNSPECIFIED and not self.opened.done():
            self.opened.set_result(None)

    def on_delivery(self, delivery: Any) -> None:
        """Take in a message, or the broker's answer to a settlement."""
        if delivery.readable and not delivery.partial:
            message = Message()
            message.decode(self.link.recv(delivery.pending))
            self.link.advance()
            self._queue.put_nowait(Incoming(message, delivery, _tag(delivery)))
            self._drained.set()
        elif delivery.updated and (delivery.settled or delivery.remote_state):
            settled = self._unsettled.pop(_tag(delivery), None)
            if settled and not settled.done():
                condition = delivery.remote.condition
                settled.set_result(AmqpError(condition.name, condition.description or "") if condition else None)
            delivery.settle()

    def on_flow(self) -> None:
        """Notice that the broker has no more to send for the credit it had."""
        if self.link.credit == 0:
            self._drained.set()

    def on_closed(self, error: AmqpError) -> None:
        """End every wait on this link."""
        if self.closed.done():
            return
        self.closed.set_exception(error)
        self.closed.exception()  # an idle link that ends has nobody waiting: not a mistake
        if not self.opened.done():
            self.opened.set_exception(error)
            self.opened.exception()
        for settled in self._unsettled.values():
            if not settled.done():
                settled.set_result(error)
        self._unsettled.clear()
        self._queue.shutdown()
        self._drained.set()

    def _end(self) -> AmqpError:
        error = self.closed.exception() if self.closed.done() else None
        return error if isinstance(error, AmqpError) else AmqpError("amqp:link:detach-forced")


class _Node:
    """A request-response node such as ``$cbs``: a pair of links, and the replies that are waited for."""

    def __init__(self, sender: Any, receiver: Receiver) -> None:
        self.sender = sender
        self.receiver = receiver
        self.credit = asyncio.Event()
        self.lock = asyncio.Lock()


class Connection(asyncio.Protocol):
    """One AMQP connection to a broker over plain TCP with SASL ANONYMOUS, as the emulator speaks it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[AmqpError] = self.loop.create_future()
        self._opened: asyncio.Future[None] = self.loop.create_future()
        self._collector = Collector()
        self._engine = Engine()
        self._engine.collect(self._collector)
        self._transport = Transport()
        self._transport.idle_timeout = _IDLE_TIMEOUT
        self._socket: asyncio.Transport | None = None
        self._receivers: dict[str, Receiver] = {}
        self._nodes: dict[str, _Node] = {}
        self._sessions: dict[str, Any] = {}
        self._numbers: Iterator[int] = itertools.count()
        self._awake = False
        self._tick: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> "Connection":
        """Connect and wait for the broker's open.

        Raises:
            OSError: Nothing listens there, or the broker does not answer in time (TimeoutError).
            AmqpError: The broker refuses.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_REPLY_TIMEOUT):
            _, connection = await loop.create_connection(cls, host, port)
            connection._engine.container = f"functions-host-{uuid.uuid4()}"
            connection._engine.hostname = host
            connection._transport.sasl().allowed_mechs("ANONYMOUS")
            connection._transport.bind(connection._engine)
            connection._engine.open()
            connection.wake()
            await connection._opened
        return connection

    async def attach(self, address: str, *, session: bool = False, wait: float = 0.0, group: str = "") -> Receiver:
        """Attach a receiver; with ``session`` wait up to ``wait`` seconds for the next session that nobody has locked.

        Args:
            address: Path of the queue or subscription.
            session: Ask for the next available session.
            wait: Seconds that the broker may hold the attach.
            group: Links of one group share an AMQP session, which Service Bus limits to 255 links.

        Raises:
            AmqpError: Refused; ``com.microsoft:timeout`` says that no session was free.
        """
        link = self._session(group).receiver(f"{address}-{next(self._numbers)}")
        link.source.address = address
        link.target.address = f"{address}-receiver"
        link.snd_settle_mode = Link.SND_UNSETTLED
        link.rcv_settle_mode = Link.RCV_SECOND
        if session:
            link.source.filter.put_object({SESSION_FILTER: None})
            link.properties = {TIMEOUT: uint(int(wait * 1000))}
        receiver = self._add(link)
        try:
            async with asyncio.timeout(wait + _REPLY_TIMEOUT):
                await receiver.opened
                if session and receiver.session_id is None:
                    await receiver.closed  # a refusal that echoed the request
        except (TimeoutError, asyncio.CancelledError) as error:
            link.close()
            self.wake()
            if isinstance(error, TimeoutError):
                raise AmqpError("amqp:timeout", f"no answer to the attach to {address}") from None
            raise
        return receiver

    async def request(self, address: str, properties: Mapping[str, Any], body: object) -> Any:
        """Send a request to ``$cbs`` or an entity's ``$management`` and return the body of the reply.

        Raises:
            AmqpError: The node cannot be attached, or its reply has a status of 300 or more.
        """
        node = self._nodes.get(address) or self._open_node(address)
        async with node.lock, asyncio.timeout(_REPLY_TIMEOUT):
            await node.receiver.opened
            await node.credit.wait()
            message = Message(body=body, properties=dict(properties), id=str(uuid.uuid4()))
            message.reply_to = node.receiver.link.target.address
            node.sender.send(message)
            self.wake()
            while True:
                reply = await node.receiver.receive()
                node.receiver.settle(reply, Delivery.ACCEPTED)
                node.receiver.flow(1)
                if reply.message.correlation_id == message.id:  # not a late reply to a request given up
                    break
        answer = reply.message.properties or {}
        status = int(answer.get("statusCode", answer.get("status-code", 0)))
        if not 200 <= status < 300:  # noqa: PLR2004 -- the success range of HTTP, which these nodes borrow
            condition = str(answer.get("errorCondition", answer.get("error-condition", f"status {status}")))
            raise AmqpError(condition, str(answer.get("statusDescription", answer.get("status-description", ""))))
        return reply.message.body

    async def close(self) -> None:
        """Close the connection in order; what is still locked goes back at once."""
        if not self.closed.done():
            self._engine.close()
            self.wake()
            await asyncio.wait([self.closed], timeout=_REPLY_TIMEOUT)
        if self._socket:
            self._socket.close()

    def wake(self) -> None:
        """Let the engine's output leave once the present callbacks are through, so that frames share a write."""
        if not self._awake:
            self._awake = True
            self.loop.call_soon(self._turn)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the stream."""
        if isinstance(transport, asyncio.Transport):
            self._socket = transport

    def data_received(self, data: bytes) -> None:
        """Feed the engine as much as it takes at a time."""
        while data:
            room = self._transport.capacity()
            if room <= 0:
                break
            self._transport.push(data[:room])
            data = data[room:]
            self._dispatch()
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End every link."""
        self._end(AmqpError("amqp:connection:lost", str(exc or "")))

    def _turn(self) -> None:
        self._awake = False
        self._dispatch()
        if not self._socket:
            return
        deadline = self._transport.tick(self.loop.time())
        if self._tick:
            self._tick.cancel()
        self._tick = self.loop.call_at(deadline, self.wake) if deadline else None
        while (pending := self._transport.pending()) > 0:
            self._socket.write(self._transport.peek(pending))
            self._transport.pop(pending)
        if pending < 0:
            self._socket.close()

    def _dispatch(self) -> None:
        while event := self._collector.peek():
            self._on(event)
            self._collector.pop()

    def _on(self, event: Any) -> None:
        kind = event.type
        if kind is Event.DELIVERY:
            delivery = event.delivery
            receiver = self._receivers.get(delivery.link.name)
            if receiver:
                receiver.on_delivery(delivery)
            elif delivery.settled:
                delivery.settle()
        elif kind is Event.LINK_FLOW:
            self._on_flow(event.link)
        elif kind is Event.LINK_REMOTE_OPEN:
            receiver = self._receivers.get(event.link.name)
            if receiver and event.link.is_receiver:
                receiver.on_remote_open()
        elif kind in (Event.LINK_REMOTE_CLOSE, Event.LINK_REMOTE_DETACH):
            self._on_link_closed(event.link)
        elif kind is Event.CONNECTION_REMOTE_OPEN:
            if not self._opened.done():
                self._opened.set_result(None)
        elif kind is Event.CONNECTION_REMOTE_CLOSE:
            self._engine.close()
            self._end(_error(event.connection.remote_condition))
        elif kind in (Event.TRANSPORT_ERROR, Event.TRANSPORT_CLOSED):
            self._end(_error(self._transport.condition))

    def _on_flow(self, link: Any) -> None:
        if link.is_receiver:
            receiver = self._receivers.get(link.name)
            if receiver:
                receiver.on_flow()
        else:
            node = self._nodes.get(link.name)
            if node and link.credit > 0:
                node.credit.set()

    def _on_link_closed(self, link: Any) -> None:
        receiver = self._receivers.pop(link.name, None)
        error = _error(link.remote_condition)
        if receiver:
            receiver.on_closed(error)
        elif link.name in self._nodes:
            self._nodes.pop(link.name).receiver.on_closed(error)
        link.close()
        link.free()

    def _end(self, error: AmqpError) -> None:
        if self.closed.done():
            return
        self.closed.set_result(error)
        if not self._opened.done():
            self._opened.set_exception(error)
        for receiver in [*self._receivers.values(), *(node.receiver for node in self._nodes.values())]:
            receiver.on_closed(error)
        if self._tick:
            self._tick.cancel()

    def _add(self, link: Any) -> Receiver:
        receiver = Receiver(self, link)
        if self.closed.done():
            receiver.on_closed(self.closed.result())
            return receiver
        self._receivers[link.name] = receiver
        link.open()
        self.wake()
        return receiver

    def _open_node(self, address: str) -> _Node:
        session = self._session("")
        sender = session.sender(address)  # the name is how flow and close find the node
        sender.target.address = address
        sender.source.address = f"{address}-client"
        reply = session.receiver(f"{address}-reply-{next(self._numbers)}")
        reply.source.address = address
        reply.target.address = f"{address}-client"
        node = _Node(sender, self._add(reply))
        if not self.closed.done():
            self._nodes[address] = node
            sender.open()
            node.receiver.flow(1)
        return node

    def _session(self, group: str) -> Any:
        if group not in self._sessions:
            self._sessions[group] = self._engine.session()
            self._sessions[group].open()
        return self._sessions[group]


def _tag(delivery: Any) -> bytes:
    """Read a delivery tag as bytes: proton's own property decodes it as UTF-8, which a lock token is not."""
    tag: bytes = cproton.bytes2pybytes(cproton.lib.pn_delivery_tag(delivery._impl))  # noqa: SLF001 -- see above
    return tag


def _filters(source: Any) -> Mapping[Any, Any]:
    data = source.filter
    data.rewind()
    return data.get_object() or {} if data.next() else {}


def _error(condition: Any) -> AmqpError:
    if condition is None:
        return AmqpError("amqp:connection:lost")
    return AmqpError(condition.name, condition.description or "")
