"""The AMQP side: connections, links and deliveries, as proton reports them.

Proton writes to sockets only after its reactor has gone quiet, that is, when every event of what has just been read has
been handled. `on_reactor_quiesced` comes right before that, and commits: so whatever leaves the process, an
acknowledgement above all, is durable already, and all that arrived together shares one transaction.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final
from uuid import uuid4

from proton import Condition, Disposition, Endpoint, Handler, Message, Terminus, int32, symbol

from servicebus_engine import errors, wire
from servicebus_engine.entity import Queue
from servicebus_engine.errors import ServiceBusError
from servicebus_engine.links import (
    TRANSACTIONAL,
    Receiver,
    SessionQueueLinks,
    close,
    refuse,
    reject,
    wanted_session,
)
from servicebus_engine.management import Management
from servicebus_engine.message import Content
from servicebus_engine.namespace import Namespace
from servicebus_engine.sockets import BATCH_TAG
from servicebus_engine.store import Store

logger = logging.getLogger(__name__)

LARGEST_TRANSFER: Final = 256 * 1024
"""Bytes in one transfer, message or batch; the quota of the Standard tier and of the official emulator."""

_CREDIT: Final = 1000
_LARGEST_PARTIAL: Final = 4 * LARGEST_TRANSFER
"""Bytes of an unfinished transfer at which its link is closed; a smaller one is rejected when it is complete."""

_TICK: Final = 0.1
"""Seconds between two looks at the clock; locks and schedules are that exact."""

_CBS: Final = "$cbs"
_MANAGEMENT: Final = "/$management"


@dataclass(eq=False)
class _Connection:
    """The links of one connection: links for replies by node and their own address, and receiving links."""

    replies: dict[tuple[str, str | None], Any] = field(default_factory=dict)
    receivers: list[Receiver] = field(default_factory=list)
    waiting: list[tuple[SessionQueueLinks, Any]] = field(default_factory=list)


def _contained(handle: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Contain a client's errors to its own link: an exception that leaves a handler would end the engine."""

    @wraps(handle)
    def contained(self: Any, event: Any) -> None:
        try:
            handle(self, event)
        except Exception:
            logger.exception("in %s", handle.__name__)
            endpoint = event.link or event.session or event.connection
            endpoint.condition = Condition("amqp:internal-error", "The engine could not handle a frame; see its log.")
            endpoint.close()

    return contained


class Broker(Handler):
    """Proton's handler for every connection."""

    def __init__(self, namespace: Namespace, store: Store) -> None:
        """Serve a namespace whose changes the store commits."""
        super().__init__()
        self._namespace = namespace
        self._management = Management(namespace)
        self._store = store
        self._receivers: dict[Queue, deque[Receiver]] = {}
        self._stopping = False
        self._session_links = {queue: SessionQueueLinks(queue) for queue in namespace.queues.values() if queue.sessions}

    def stop(self) -> None:
        """End the reactor at its next look at the clock; safe to call from a signal handler."""
        self._stopping = True

    # The life of connections, sessions and links

    def on_reactor_init(self, event: Any) -> None:
        """Start the clock."""
        event.container.schedule(_TICK, self)

    def on_timer_task(self, event: Any) -> None:
        """Let time pass in every entity."""
        if self._stopping:
            event.container.stop()
            return
        self._namespace.tick()
        for links in self._session_links.values():
            links.expire()
        event.container.schedule(_TICK, self)

    def on_reactor_quiesced(self, _: Any) -> None:
        """Send ready messages, then make all changes durable."""
        for queue in self._namespace.queues.values():
            if woken := queue.woken():
                self._pump(queue, woken)
        self._store.commit()

    @_contained
    def on_connection_remote_open(self, event: Any) -> None:
        """Accept a connection."""
        event.connection.attached = _Connection()
        event.connection.open()

    @_contained
    def on_session_remote_open(self, event: Any) -> None:
        """Accept a session of a connection."""
        event.session.open()

    @_contained
    def on_link_remote_open(self, event: Any) -> None:
        """Attach a link to the entity or node of its address, or refuse it."""
        link = event.link
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.snd_settle_mode = link.remote_snd_settle_mode
        link.rcv_settle_mode = link.remote_rcv_settle_mode
        try:
            if link.remote_target.type == Terminus.COORDINATOR:
                raise errors.no_transactions()
            if link.is_receiver:
                self._attach_sender(link, _address(link.remote_target))
            else:
                self._attach_receiver(link, _address(link.remote_source))
        except ServiceBusError as error:
            logger.info("refused link %s: %s", _name(link), error.description)
            refuse(link, error)

    @_contained
    def on_link_remote_close(self, event: Any) -> None:
        """Answer a detach and forget the link."""
        link = event.link
        self._forget(link)
        if link.state & Endpoint.LOCAL_ACTIVE or link.state & Endpoint.LOCAL_UNINIT:
            link.close()
        link.free()

    def on_link_remote_detach(self, event: Any) -> None:
        """Treat a detach without close alike: links cannot be resumed."""
        self.on_link_remote_close(event)

    @_contained
    def on_session_remote_close(self, event: Any) -> None:
        """Close the session and its links."""
        self._forget_where(event.connection, lambda link: link.session == event.session)
        event.session.close()
        event.session.free()

    @_contained
    def on_connection_remote_close(self, event: Any) -> None:
        """Close the connection and its links."""
        self._forget_where(event.connection, lambda _: True)
        event.connection.close()

    @_contained
    def on_transport_closed(self, event: Any) -> None:
        """Forget a connection whose socket has gone."""
        connection = event.connection
        if connection is not None:
            self._forget_where(connection, lambda _: True)
            connection.free()

    # Deliveries

    @_contained
    def on_link_flow(self, event: Any) -> None:
        """Use new credit, and return the unused credit of a draining client."""
        link = event.link
        receiver = getattr(link, "receiver", None)
        draining = link.is_sender and link.drain_mode
        if receiver is not None:
            receiver.pump(spare=1 if draining else 0)  # the one credit that ServiceBusIO adds
        if draining and link.state & Endpoint.LOCAL_ACTIVE:
            link.drained()

    @_contained
    def on_delivery(self, event: Any) -> None:
        """Take a transfer in, or a client's word on a delivery."""
        delivery, link = event.delivery, event.link
        if link.is_receiver:
            if delivery.aborted:
                delivery.settle()
            elif delivery.partial and delivery.pending > _LARGEST_PARTIAL:
                close(link, errors.message_too_large(delivery.pending, LARGEST_TRANSFER))
            elif not delivery.partial:  # an empty one is not "readable"
                self._take_in(link, delivery)
        elif delivery.updated:
            receiver = getattr(link, "receiver", None)
            if receiver is not None and getattr(delivery, "lock_token", None) is not None:
                receiver.settle(delivery)
            else:
                delivery.settle()

    def _take_in(self, link: Any, delivery: Any) -> None:
        raw = link.recv(delivery.pending) or b""
        link.advance()
        if not link.state & Endpoint.LOCAL_ACTIVE:
            return  # sent before the client heard that its link is refused or closed
        try:
            if len(raw) > LARGEST_TRANSFER:
                raise errors.message_too_large(len(raw), LARGEST_TRANSFER)
            if delivery.remote_state == TRANSACTIONAL:
                raise errors.no_transactions()
            link.take_in(raw, _tag(delivery))
        except ServiceBusError as error:
            logger.info("rejected a transfer on %s: %s", _name(link), error.description)
            reject(delivery, error)
        else:
            delivery.update(Disposition.ACCEPTED)
            delivery.settle()
        if link.credit < _CREDIT // 2:
            link.flow(_CREDIT - link.credit)

    def _pump(self, queue: Queue, woken: set[str | None]) -> None:
        if queue.sessions:
            for session_id in woken:
                holder = queue.holder(session_id)
                if isinstance(holder, Receiver):
                    holder.pump()
            for receiver in self._session_links[queue].serve_waiting():
                self._opened(receiver)
            return
        receivers = self._receivers.get(queue, deque())
        for receiver in list(receivers):
            receiver.pump()
        receivers.rotate(-1)

    # Attaching

    def _attach_sender(self, link: Any, address: str) -> None:
        """A client's sending link: to an entity, to its management node, or to the token service."""
        if address == _CBS:
            link.take_in = lambda raw, _: self._grant(link.connection, raw)
        elif address.lower().endswith(_MANAGEMENT):
            entity = address[: -len(_MANAGEMENT)]
            self._must_exist(entity)
            link.take_in = lambda raw, _: self._manage(link.connection, entity, raw)
        else:
            destination = self._namespace.destination(address)
            link.take_in = lambda raw, tag: destination.publish(_contents(raw, tag))
            link.max_message_size = LARGEST_TRANSFER
        link.open()
        link.flow(_CREDIT)

    def _attach_receiver(self, link: Any, address: str) -> None:
        """A client's receiving link: from an entity, or for replies."""
        if address == _CBS or address.lower().endswith(_MANAGEMENT):
            if address != _CBS:
                self._must_exist(address[: -len(_MANAGEMENT)])
            link.connection.attached.replies[address.lower(), _written(link.remote_target)] = link
            link.open()
            return
        queue = self._namespace.queue(address)
        has_filter, session_id = wanted_session(link)
        if queue.sessions != has_filter:
            kind = "requires" if queue.sessions else "does not support"
            raise errors.not_allowed(
                f"'{queue.path}' {kind} sessions: it is not possible to create a "
                f"{'non-sessionful' if queue.sessions else 'sessionful'} message receiver on it."
            )
        if queue.sessions:
            links = self._session_links[queue]
            receiver = links.attach(link, session_id)
            if receiver is None:
                link.connection.attached.waiting.append((links, link))
                return
        else:
            receiver = Receiver(link, queue)
            self._receivers.setdefault(queue, deque()).append(receiver)
            link.open()
        self._opened(receiver)

    def _opened(self, receiver: Receiver) -> None:
        link = receiver.link
        link.receiver = receiver
        link.connection.attached.receivers.append(receiver)
        receiver.pump()

    def _must_exist(self, address: str) -> None:
        if address.lower() not in self._namespace.destinations:
            self._namespace.queue(address)

    def _forget(self, link: Any) -> None:
        self._forget_where(link.connection, lambda other: other == link)

    def _forget_where(self, connection: Any, gone: Callable[[Any], bool]) -> None:
        attached: _Connection | None = getattr(connection, "attached", None)
        if attached is None:
            return
        for key, link in list(attached.replies.items()):
            if gone(link):
                del attached.replies[key]
        for links, link in [entry for entry in attached.waiting if gone(entry[1])]:
            attached.waiting.remove((links, link))
            links.forget(link)
        for receiver in [receiver for receiver in attached.receivers if gone(receiver.link)]:
            attached.receivers.remove(receiver)
            receiver.link.receiver = None
            if receiver.lane is None:
                self._receivers[receiver.queue].remove(receiver)
            receiver.closed()

    # Requests and replies

    def _grant(self, connection: Any, raw: bytes) -> None:
        """Accept any token: the engine listens on the loopback address and knows no users."""
        request = _request(raw)
        properties = {"status-code": int32(202), "status-description": "Accepted"}
        self._reply(connection, _CBS, request, properties, None)

    def _manage(self, connection: Any, address: str, raw: bytes) -> None:
        request = _request(raw)
        given: Any = request.properties  # None in a request without any, whatever proton says
        properties: dict[str, Any] = dict(given or ())
        operation = str(properties.get("operation"))

        def holds_session(queue: Queue, session_id: str) -> bool:
            return any(
                receiver.queue is queue and receiver.lane is not None and receiver.lane.session_id == session_id
                for receiver in connection.attached.receivers
            )

        try:
            body = self._management.answer(address, operation, request.body, holds_session)
            code, description, condition = (204 if body is None else 200), "OK", None
        except ServiceBusError as error:
            logger.info("refused %s on %s: %s", operation, address, error.description)
            body, code, description, condition = None, error.status, error.description, error.condition
        answer: dict[str, Any] = {"statusCode": int32(code), "statusDescription": description}
        if condition is not None:
            answer["errorCondition"] = symbol(condition)
        self._reply(connection, (address + _MANAGEMENT).lower(), request, answer, body)

    def _reply(self, connection: Any, node: str, request: Message, properties: dict[str, Any], body: Any) -> None:
        replies = connection.attached.replies
        link = replies.get((node, request.reply_to)) or next(
            (link for (name, _), link in replies.items() if name == node), None
        )
        if link is None:
            raise errors.not_allowed(f"There is no link to send the replies of '{node}' on.")
        if link.queued > _CREDIT:
            raise errors.not_allowed(f"{link.queued} replies of '{node}' wait for credit; no more are kept.")
        reply = Message(body=body, properties=properties, correlation_id=request.id)
        link.send(reply, tag=str(uuid4())).settle()


def _address(terminus: Any) -> str:
    """Return the path in the address of a link's end, which may be a URL; raises as _written."""
    path = _written(terminus) or ""
    if "://" in path:
        path = path.split("://", 1)[1].partition("/")[2]
    return path.strip("/")


def _written(terminus: Any) -> str | None:
    """Return the address of a link's end as the client wrote it.

    Raises:
        ServiceBusError: it is no text.
    """
    try:
        address: str | None = terminus.address
    except UnicodeDecodeError:
        raise errors.not_allowed("The address of the link is not UTF-8.") from None
    return address


def _name(link: Any) -> str:
    """Return a link's name, for the log: the client may have given any bytes."""
    try:
        return str(link.name)
    except UnicodeDecodeError:
        return "with a name that is not UTF-8"


def _tag(delivery: Any) -> str | None:
    try:
        return str(delivery.tag)
    except (RuntimeError, UnicodeDecodeError):
        return None  # the client gave none, and so ServiceBusIO had none to replace


def _contents(raw: bytes, tag: str | None) -> list[Content]:
    messages = wire.batched_messages(raw) if tag == BATCH_TAG else [raw]
    return [Content.received(message) for message in messages]


def _request(raw: bytes) -> Message:
    if not raw:
        raise errors.malformed("The request is empty.")
    request = Message()
    try:
        request.decode(raw)
    except Exception as error:  # proton's decoder may raise any error on foreign bytes
        raise errors.malformed("The request does not decode.") from error
    given: Any = request.properties  # None in a request without any, whatever proton says
    if not isinstance(given, dict | None):
        raise errors.malformed("The application properties of the request are not a map.")
    return request
