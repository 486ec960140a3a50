"""AMQP 1.0 for asyncio: proton's protocol engine on an asyncio stream, with many links on one connection.

Proton's own reactor is left aside: its engine does no I/O, so an asyncio protocol can feed it and every wait is an
ordinary await. What is implemented is what a receiver of Service Bus needs, with the names of the protocol.
"""

import asyncio
import itertools
import uuid
from collections.abc import Mapping
from typing import Any, cast

from proton import Collector, Event, Link, Transport, symbol, uint
from proton import Connection as Engine

from infra.local.host.links import REPLY_TIMEOUT, SESSION_FILTER, AmqpError, Node, Receiver, error_of

_TIMEOUT = symbol("com.microsoft:timeout")
_IDLE_TIMEOUT = 60.0  # seconds without a frame after which the peer is taken for dead


class Connection(asyncio.Protocol):
    """One AMQP connection to a broker over plain TCP with SASL ANONYMOUS, as the emulator speaks it.

    Attributes:
        closed: Done, with the reason, when the connection has ended.
    """

    def __init__(self, host: str) -> None:
        self.closed: asyncio.Future[AmqpError] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._host = host
        self._collector = Collector()
        self._engine = Engine()
        self._transport = Transport()
        self._socket: asyncio.Transport | None = None
        self._receivers: dict[str, Receiver] = {}
        self._nodes: dict[str, Node] = {}
        self._sessions: dict[str, Any] = {}
        self._numbers = itertools.count()
        self._awake = False
        self._tick: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> "Connection":
        """Connect and wait for the broker's open.

        Raises:
            OSError: Nothing listens there, or the broker does not answer in time (TimeoutError).
            AmqpError: The broker refuses.
        """
        async with asyncio.timeout(REPLY_TIMEOUT):
            _, connection = await asyncio.get_running_loop().create_connection(lambda: cls(host), host, port)
            try:
                await connection.wait_open()
            except BaseException:
                connection.abort()
                raise
        return connection

    async def wait_open(self) -> None:
        """Wait until both sides are open."""
        await self._opened

    async def attach(self, address: str, *, session_wait: float | None = None) -> Receiver:
        """Attach a receiver to a queue or a subscription.

        Args:
            address: Path of the entity. Links of one entity share an AMQP session, which in Service Bus has room
                for 255 of them.
            session_wait: Ask for the next session that nobody has locked, and let the broker hold the attach for up
                to so many seconds until there is one. None: the entity has no sessions.

        Raises:
            AmqpError: Refused; the condition ``com.microsoft:timeout`` says that no session was free.
        """
        link = self._session(address).receiver(f"{address}-{next(self._numbers)}")
        link.source.address = address
        link.target.address = f"{address}-receiver"
        link.snd_settle_mode = Link.SND_UNSETTLED
        link.rcv_settle_mode = Link.RCV_SECOND
        if session_wait is not None:
            link.source.filter.put_object({SESSION_FILTER: None})
            link.properties = {_TIMEOUT: uint(int(session_wait * 1000))}
        receiver = self._add(link)
        try:
            async with asyncio.timeout((session_wait or 0.0) + REPLY_TIMEOUT):
                await receiver.opened
                if session_wait is not None and receiver.session_id is None:
                    await receiver.closed  # a refusal that echoed the request
        except TimeoutError:
            receiver.detach()
            raise AmqpError("amqp:timeout", f"no answer to the attach to {address}") from None
        except asyncio.CancelledError:
            receiver.detach()
            raise
        return receiver

    async def request(self, address: str, properties: Mapping[str, Any], body: Any) -> Any:
        """Send a request to ``$cbs`` or an entity's ``$management`` and return the body of the reply.

        Raises:
            AmqpError: The node is not there, does not answer, or answers with a status outside 200 to 299.
        """
        node = self._nodes.get(address) or self._open_node(address)
        return await node.request(properties, body)

    async def close(self) -> None:
        """Close the connection in order; what is still locked goes back at once."""
        if not self.closed.done():
            self._engine.close()
            self.wake()
            await asyncio.wait([self.closed], timeout=REPLY_TIMEOUT)
        self.abort()

    def abort(self) -> None:
        """Drop the stream."""
        if self._socket:
            self._socket.abort()

    def wake(self) -> None:
        """Let the engine's output leave once the present callbacks are through, so that frames share a write."""
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._turn)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the protocol."""
        self._socket = cast("asyncio.Transport", transport)  # as for any TCP connection
        self._engine.container = f"functions-host-{uuid.uuid4()}"
        self._engine.hostname = self._host
        self._engine.collect(self._collector)
        self._transport.idle_timeout = _IDLE_TIMEOUT
        self._transport.sasl().allowed_mechs("ANONYMOUS")
        self._transport.bind(self._engine)
        self._engine.open()
        self.wake()

    def data_received(self, data: bytes) -> None:
        """Feed the engine as much as it takes at a time."""
        while data and (room := self._transport.capacity()) > 0:
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
        if not self._socket or self._socket.is_closing():
            return
        deadline = self._transport.tick(self._loop.time())
        if self._tick:
            self._tick.cancel()
        self._tick = self._loop.call_at(deadline, self.wake) if deadline else None
        while (pending := self._transport.pending()) > 0:
            self._socket.write(self._transport.peek(pending) or b"")
            self._transport.pop(pending)
        if pending < 0:  # both sides have closed
            self._socket.close()

    def _dispatch(self) -> None:
        while event := self._collector.peek():
            if event.type in _LINK_EVENTS:
                self._on_link(event)
            elif event.type is Event.CONNECTION_REMOTE_OPEN and not self._opened.done():
                self._opened.set_result(None)
            elif event.type is Event.CONNECTION_REMOTE_CLOSE:
                self._engine.close()
                self._end(error_of(self._engine.remote_condition))
            elif event.type in (Event.TRANSPORT_ERROR, Event.TRANSPORT_CLOSED):
                self._end(error_of(self._transport.condition))
            self._collector.pop()

    def _on_link(self, event: Any) -> None:
        link = event.link
        receiver, node = self._receivers.get(link.name), self._nodes.get(link.name)
        if event.type in (Event.LINK_REMOTE_CLOSE, Event.LINK_REMOTE_DETACH):
            self._on_link_closed(link)
        elif node and event.type is Event.LINK_FLOW:
            node.on_flow()
        elif receiver and event.type is Event.LINK_FLOW:
            receiver.on_flow()
        elif receiver and event.type is Event.LINK_REMOTE_OPEN:
            receiver.on_remote_open()
        elif event.type is Event.DELIVERY:
            if receiver:
                receiver.on_delivery(event.delivery)
            elif event.delivery.settled:  # a request that its node has taken
                event.delivery.settle()

    def _on_link_closed(self, link: Any) -> None:
        receiver, node = self._receivers.pop(link.name, None), self._nodes.pop(link.name, None)
        receiver = node.receiver if node else receiver
        if receiver:
            receiver.on_closed(error_of(link.remote_condition))
        link.close()
        link.free()

    def _end(self, error: AmqpError) -> None:
        if self.closed.done():
            return
        self.closed.set_result(error)
        if not self._opened.done():
            self._opened.set_exception(error)
        for receiver in self._receivers.values():
            receiver.on_closed(error)
        if self._tick:
            self._tick.cancel()

    def _add(self, link: Any) -> Receiver:
        receiver = Receiver(link, self.wake)
        if self.closed.done():
            receiver.on_closed(self.closed.result())
            return receiver
        self._receivers[link.name] = receiver
        link.open()
        self.wake()
        return receiver

    def _open_node(self, address: str) -> Node:
        """Attach both links of a node; its sender is named like the node, which is how its events find it."""
        session, client = self._session(""), f"{address}-client"
        sender = session.sender(address)
        sender.source.address, sender.target.address = client, address
        reply = session.receiver(f"{address}-reply-{next(self._numbers)}")
        reply.source.address, reply.target.address = address, client
        node = Node(sender, self._add(reply), client, self.wake)
        if not self.closed.done():
            self._nodes[address] = node
            sender.open()
            node.receiver.flow(1)
        return node

    def _session(self, name: str) -> Any:
        if name not in self._sessions:
            self._sessions[name] = self._engine.session()
            self._sessions[name].open()
        return self._sessions[name]


_LINK_EVENTS = frozenset(
    {Event.DELIVERY, Event.LINK_FLOW, Event.LINK_REMOTE_OPEN, Event.LINK_REMOTE_CLOSE, Event.LINK_REMOTE_DETACH}
)
