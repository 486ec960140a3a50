"""The broker's end of links, one class for each kind of link."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from proton import Condition, Disposition, Link, symbol

from servicebus_engine import errors
from servicebus_engine.entity import Queue
from servicebus_engine.errors import ServiceBusError
from servicebus_engine.lanes import Lane
from servicebus_engine.message import identifier

SESSION_FILTER: Final = symbol("com.microsoft:session-filter")
OPERATION_TIMEOUT: Final = symbol("com.microsoft:timeout")
LOCKED_UNTIL: Final = symbol("com.microsoft:locked-until-utc")
DEAD_LETTER: Final = "com.microsoft:dead-letter"

TRANSACTIONAL: Final = 0x34
"""The delivery state within a transaction (AMQP 1.0, part 4.5.8)."""

_DEFAULT_SESSION_WAIT: Final = 60_000
"""Milliseconds that an attach for the next session is held when the client names no timeout."""

_TICKS_AT_1970: Final = 621_355_968_000_000_000
_TICKS_PER_MILLISECOND: Final = 10_000
"""A .NET tick is 100 ns since the year 1."""


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def refuse(link: Any, error: ServiceBusError) -> None:
    """Answer an attach with a null terminus and a detach that tells why (AMQP 1.0, part 2.6.3)."""
    terminus = link.target if link.is_receiver else link.source
    terminus.type = 0
    link.open()
    close(link, error)


def close(link: Any, error: ServiceBusError) -> None:
    """Detach a link with an error."""
    link.condition = _condition(error)
    link.close()


def reject(delivery: Any, error: ServiceBusError) -> None:
    """Settle a delivery as refused."""
    delivery.local.condition = _condition(error)
    delivery.update(Disposition.REJECTED)
    delivery.settle()


def _condition(error: ServiceBusError) -> Condition:
    """Return the error with an info map: azure-servicebus takes an error without one for no answer, and waits on."""
    return Condition(error.condition, error.description, {symbol("tracking-id"): str(uuid4())})


@dataclass(eq=False)
class Receiver:
    """A client's receiving link: the broker sends available messages, and carries out the client's settlements.

    Attributes:
        link: proton's end, a sender.
        queue: the source of the messages.
        lane: the session that the link has locked, if the queue has sessions.
    """

    link: Any
    queue: Queue
    lane: Lane | None = None

    def pump(self, *, spare: int = 0) -> None:
        """Send while there is credit and there are messages, but so much credit is to be left."""
        link = self.link
        session_id = self.lane.session_id if self.lane else None
        settled = link.snd_settle_mode == Link.SND_SETTLED
        while link.credit > spare:
            message = self.queue.take(session_id, settled=settled)
            if message is None:
                return
            token = message.lock_token
            delivery = link.delivery((token or UUID(int=message.sequence)).bytes_le)
            delivery.lock_token = token
            link.stream(message.encode())
            link.advance()
            if settled:
                delivery.settle()

    def settle(self, delivery: Any) -> None:
        """Do what the client decided, and echo its outcome."""
        token, outcome = delivery.lock_token, delivery.remote_state
        if token is None or not (outcome or delivery.settled):
            return
        delivery.lock_token = None
        try:
            self._apply(token, outcome, delivery.remote)
        except ServiceBusError as error:
            reject(delivery, error)
            return
        delivery.update(outcome)
        delivery.settle()

    def _apply(self, token: UUID, outcome: Any, remote: Any) -> None:
        if outcome == TRANSACTIONAL:
            raise errors.no_transactions()
        changes, details = _maps(remote)
        if outcome == Disposition.ACCEPTED:
            self.queue.complete(token)
        elif outcome == Disposition.REJECTED:
            reason = details.pop("DeadLetterReason", None)
            description = details.pop("DeadLetterErrorDescription", None)
            if remote.condition and remote.condition.name != DEAD_LETTER:
                reason = reason or remote.condition.name
                description = description or remote.condition.description
            self.queue.dead_letter(token, _text(reason), _text(description), details)
        elif outcome == Disposition.MODIFIED and remote.undeliverable:
            self.queue.defer(token, changes)
        elif outcome == Disposition.MODIFIED:  # whether or not it says delivery-failed: .NET's client never does
            self.queue.abandon(token, changes)
        else:
            self.queue.release(token)

    def session_lost(self) -> None:
        """Close the link, as the session's lock has run out."""
        if self.lane is not None:
            close(self.link, errors.session_lock_lost(self.lane.session_id or ""))

    def closed(self) -> None:
        """Let the session go; without one, deliveries stay locked until their time is up."""
        if self.lane is not None:
            self.queue.release_session(self.lane.session_id, self)


@dataclass(eq=False)
class Waiting:
    """A receiving link whose attach is held until a session is available.

    Attributes:
        link: proton's end, not opened yet.
        deadline: when the attach is refused, milliseconds since 1970.
    """

    link: Any
    deadline: int


class SessionQueueLinks:
    """The links that wait for sessions of one queue, first come, first served."""

    def __init__(self, queue: Queue) -> None:
        """Serve a queue with sessions."""
        self._queue = queue
        self._waiting: deque[Waiting] = deque()

    def attach(self, link: Any, session_id: str | None) -> Receiver | None:
        """Lock the session named or the next one, and open the link; None if the link has to wait.

        Raises:
            ServiceBusError: another receiver holds the named session.
        """
        receiver = Receiver(link, self._queue)
        lane = self._queue.accept_session(session_id, receiver)
        if lane is None:
            timeout = (link.remote_properties or {}).get(OPERATION_TIMEOUT, _DEFAULT_SESSION_WAIT)
            if not isinstance(timeout, int):
                raise errors.invalid_argument(f"'{OPERATION_TIMEOUT}' is not a number of milliseconds.")
            self._waiting.append(Waiting(link, now() + timeout))
            return None
        receiver.lane = lane
        link.source.filter.clear()
        link.source.filter.put_object({SESSION_FILTER: lane.session_id})
        link.properties = {LOCKED_UNTIL: lane.locked_until * _TICKS_PER_MILLISECOND + _TICKS_AT_1970}
        link.open()
        return receiver

    def serve_waiting(self) -> list[Receiver]:
        """Give available sessions to waiting links; returns those that got one."""
        served = []
        while self._waiting and self._queue.has_available_session():
            receiver = self.attach(self._waiting.popleft().link, None)
            if receiver is not None:
                served.append(receiver)
        return served

    def expire(self) -> None:
        """Refuse the links that have waited as long as they wanted to."""
        moment = now()
        for waiting in [waiting for waiting in self._waiting if waiting.deadline <= moment]:
            self._waiting.remove(waiting)
            refuse(waiting.link, errors.no_session_available())

    def forget(self, link: Any) -> None:
        """Drop a link that has gone away while it was waiting."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting.link != link)


def _maps(remote: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the annotations of a client's outcome and the info of its error.

    Raises:
        ServiceBusError: one of them is no map, or does not decode.
    """
    try:
        changes, details = remote.annotations or {}, (remote.condition and remote.condition.info) or {}
        return _text_keys(changes), _text_keys(details)
    except Exception as error:  # proton's decoder may raise any error on foreign bytes
        raise errors.malformed("The outcome does not decode.") from error


def _text_keys(given: Any) -> dict[str, Any]:
    return {str(key): value for key, value in given.items()}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def wanted_session(link: Any) -> tuple[bool, str | None]:
    """Return whether an attach has a session filter, and the session id that it names (None: the next available).

    Raises:
        ServiceBusError: the filter is not understood.
    """
    wanted = link.remote_source.filter
    wanted.rewind()
    try:
        filters = (wanted.get_object() if wanted.next() else None) or {}
    except Exception as error:  # proton's decoder may raise any error on foreign bytes
        raise errors.malformed("The filter of the source does not decode.") from error
    if not isinstance(filters, dict):
        raise errors.invalid_argument("The filter of the source is not a map.")
    for name, value in filters.items():
        if str(name) == SESSION_FILTER:
            session_id = getattr(value, "value", value)
            return True, identifier("SessionId", session_id)
    return False, None
