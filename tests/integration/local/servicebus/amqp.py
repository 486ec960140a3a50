"""A client that speaks AMQP itself: many links on one connection, and what the SDK does not say."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from proton import Link, Message, symbol, uint
from proton.handlers import MessagingHandler
from proton.reactor import Container, LinkOption
from proton.utils import BlockingConnection

SESSION_FILTER = symbol("com.microsoft:session-filter")


class Session(LinkOption):
    """Attach to a session; None is the next available, for which the broker waits so many seconds."""

    def __init__(self, session_id: str | None, wait: float = 60.0) -> None:
        self._session_id = session_id
        self._wait = wait

    def apply(self, link: Link) -> None:
        """Ask for the session."""
        link.source.filter.put_object({SESSION_FILTER: self._session_id})
        link.properties = {symbol("com.microsoft:timeout"): uint(int(self._wait * 1000))}


class PeekLock(LinkOption):
    """Settle second: the broker waits for an outcome."""

    def apply(self, link: Link) -> None:
        """Ask for the mode."""
        link.snd_settle_mode = Link.SND_UNSETTLED
        link.rcv_settle_mode = Link.RCV_SECOND


class NoMap(LinkOption):
    """Attach with a filter that is not one."""

    def apply(self, link: Link) -> None:
        """Put a text where a map belongs."""
        link.source.filter.put_object("no map")


@contextmanager
def connection(port: int) -> Iterator[BlockingConnection]:
    """Connect as the emulator's clients do."""
    opened = BlockingConnection(f"127.0.0.1:{port}", timeout=20, allowed_mechs="ANONYMOUS")
    try:
        yield opened
    finally:
        opened.close()


def request(opened: BlockingConnection, node: str, operation: str, body: Any) -> Any:
    """Send one management request and return the reply."""
    replies = opened.create_receiver(node, credit=1)
    sender = opened.create_sender(node)
    sender.send(Message(id="1", reply_to=node, properties={"operation": operation}, body=body))
    reply = replies.receive(timeout=20)
    replies.close()
    sender.close()
    return reply


class SessionPump(MessagingHandler):
    """A consumer with many links on one connection, each of which takes one session after the other.

    A link whose session has nothing more is closed and attached anew, until all that is wanted has come.

    Attributes:
        received: bodies by session id, in order of arrival.
        holders: how often each session was locked.
        trouble: what must not happen.
    """

    def __init__(self, port: int, queue: str, links: int, wanted: int, per_session: int) -> None:
        super().__init__(prefetch=per_session, auto_accept=False)
        self.received: dict[str, list[str]] = {}
        self.holders: dict[str, int] = {}
        self.trouble: list[str] = []
        self._port = port
        self._queue = queue
        self._links = links
        self._wanted = wanted
        self._per_session = per_session
        self._numbers = iter(range(1_000_000))
        self._connection: Any = None

    def on_start(self, event: Any) -> None:
        """Attach all links."""
        self._connection = event.container.connect(f"127.0.0.1:{self._port}", allowed_mechs="ANONYMOUS")
        for _ in range(self._links):
            self._attach(event.container)

    def _attach(self, container: Container) -> None:
        name = f"pump-{next(self._numbers)}"
        options = [PeekLock(), Session(None)]
        container.create_receiver(self._connection, self._queue, name=name, options=options)

    def on_link_opened(self, event: Any) -> None:
        """Note which session the broker gave."""
        session_id = str(event.link.remote_source.filter.get_object()[SESSION_FILTER]) if _next(event.link) else ""
        event.link.session_id = session_id
        self.holders[session_id] = self.holders.get(session_id, 0) + 1

    def on_link_error(self, event: Any) -> None:
        """Note that a link was refused or lost."""
        self.trouble.append(str(event.link.remote_condition))

    def on_message(self, event: Any) -> None:
        """Complete a message, and go on to another session after the last."""
        bodies = self.received.setdefault(event.link.session_id, [])
        if event.message.group_id != event.link.session_id:
            self.trouble.append(f"{event.message.group_id} came on the link of {event.link.session_id}")
        bodies.append(bytes(event.message.body).decode())
        self.accept(event.delivery)
        if len(bodies) == self._per_session:
            event.link.close()
            if sum(map(len, self.received.values())) == self._wanted:
                self._connection.close()
            else:
                self._attach(event.container)


def _next(link: Link) -> bool:
    link.remote_source.filter.rewind()
    return link.remote_source.filter.next() is not None


def run(handler: MessagingHandler) -> None:
    """Run a handler until it closes its connection."""
    Container(handler).run()


class Raw:
    """Bytes to send as they are, where proton expects a message."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded

    def send(self, sender: Any, tag: str | None = None) -> Any:
        """Do what `Message.send` does."""
        delivery = sender.delivery(tag or sender.delivery_tag())
        sender.stream(self._encoded)
        sender.advance()
        return delivery
