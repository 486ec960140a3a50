"""Requests to `<entity>/$management`, and their replies.

The operations and their fields: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final
from uuid import UUID

from proton import UNDESCRIBED, Array, Data, timestamp

from servicebus_engine import errors
from servicebus_engine.entity import Queue
from servicebus_engine.message import Content, Message
from servicebus_engine.namespace import Namespace

logger = logging.getLogger(__name__)

type Body = dict[str, Any]
type HoldsSession = Callable[[Queue, str], bool]

_SETTLED: Final = 0
"""`receiver-settle-mode` first: receive and delete."""

_RULES: Final = {"com.microsoft:add-rule", "com.microsoft:remove-rule", "com.microsoft:enumerate-rules"}

_LARGEST_PEEK: Final = 1024 * 1024
"""Bytes of messages in one reply to a peek; what does not fit is left for the next."""


class Management:
    """The management operations of one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        """Serve a namespace."""
        self._namespace = namespace
        self._operations: dict[str, Callable[[str, Body, HoldsSession], Body | None]] = {
            "com.microsoft:peek-message": self._peek,
            "com.microsoft:renew-lock": self._renew_locks,
            "com.microsoft:receive-by-sequence-number": self._receive_deferred,
            "com.microsoft:update-disposition": self._settle,
            "com.microsoft:schedule-message": self._schedule,
            "com.microsoft:cancel-scheduled-message": self._cancel,
            "com.microsoft:renew-session-lock": self._renew_session,
            "com.microsoft:get-session-state": self._session_state,
            "com.microsoft:set-session-state": self._set_session_state,
        }

    def answer(self, address: str, operation: str, body: Any, holds_session: HoldsSession) -> Body | None:
        """Carry out one operation.

        Args:
            address: of the entity.
            operation: its name.
            body: the request's map.
            holds_session: tells whether the caller's connection has a session locked.

        Returns:
            The reply's map, or None where there is no content.

        Raises:
            ServiceBusError: it is refused, not supported or not understood.
        """
        operate = self._operations.get(operation)
        if operation in _RULES:
            raise errors.not_implemented("This engine takes its rules from the configuration file alone.")
        if operate is None:
            raise errors.not_implemented(f"The management operation '{operation}' is not supported by this engine.")
        if not isinstance(body, dict):
            raise errors.invalid_argument(f"The body of '{operation}' is not a map.")
        try:
            return operate(address, body, holds_session)
        except KeyError as error:
            raise errors.invalid_argument(f"The body of '{operation}' lacks {error}.") from error
        except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            logger.info("%s on %s: %r", operation, address, error)
            raise errors.invalid_argument(f"The body of '{operation}' has a value of the wrong kind.") from error

    def _peek(self, address: str, body: Body, _: HoldsSession) -> Body | None:
        queue = self._namespace.queue(address)
        destination = self._namespace.destinations.get(address.lower())
        start, session_id = body["from-sequence-number"], body.get("session-id")
        waiting = [] if destination is None else list(destination.scheduled(start))
        messages = [*queue.peek(start, session_id), *(m for m in waiting if session_id in (None, m.content.session_id))]
        messages.sort(key=lambda message: message.sequence)
        peeked: list[dict[str, bytes]] = []
        size = 0
        for message in messages[: body["message-count"]]:
            encoded = message.encode(locked=False)
            size += len(encoded)
            if peeked and size > _LARGEST_PEEK:
                break
            peeked.append({"message": encoded})
        return {"messages": peeked} if peeked else None

    def _renew_locks(self, address: str, body: Body, _: HoldsSession) -> Body:
        queue = self._namespace.queue(address)
        return {"expirations": _timestamps(queue.renew(token) for token in _tokens(body))}

    def _receive_deferred(self, address: str, body: Body, holds_session: HoldsSession) -> Body:
        queue = self._namespace.queue(address)
        session_id = self._own_session(queue, body, holds_session)
        settled = body["receiver-settle-mode"] == _SETTLED
        messages = queue.take_deferred(list(body["sequence-numbers"]), session_id, settled=settled)
        return {"messages": [_received(message) for message in messages]}

    def _settle(self, address: str, body: Body, _: HoldsSession) -> Body:
        queue = self._namespace.queue(address)
        status, changes = body["disposition-status"], _text_keys(body.get("properties-to-modify") or {})
        for token in (tokens := _tokens(body)):
            queue.holding(token)
        for token in tokens:
            if status == "completed":
                queue.complete(token)
            elif status == "abandoned":
                queue.abandon(token, changes)
            elif status == "defered":
                queue.defer(token, changes)
            elif status == "suspended":
                reason, description = _text(body.get("deadletter-reason")), _text(body.get("deadletter-description"))
                queue.dead_letter(token, reason, description, changes)
            else:
                raise errors.not_implemented(f"The disposition '{status}' is not supported by this engine.")
        return {}

    def _schedule(self, address: str, body: Body, _: HoldsSession) -> Body:
        destination = self._namespace.destination(address)
        numbers = destination.schedule([Content.received(_binary(entry["message"])) for entry in body["messages"]])
        return {"sequence-numbers": _array(Data.LONG, numbers)}

    def _cancel(self, address: str, body: Body, _: HoldsSession) -> Body:
        self._namespace.destination(address).cancel(list(body["sequence-numbers"]))
        return {}

    def _renew_session(self, address: str, body: Body, holds_session: HoldsSession) -> Body:
        queue = self._namespace.queue(address)
        session_id = self._own_session(queue, body, holds_session)
        return {"expiration": timestamp(queue.renew_session(session_id or ""))}

    def _session_state(self, address: str, body: Body, holds_session: HoldsSession) -> Body:
        queue = self._namespace.queue(address)
        return {"session-state": queue.session_state(self._own_session(queue, body, holds_session) or "")}

    def _set_session_state(self, address: str, body: Body, holds_session: HoldsSession) -> Body:
        queue = self._namespace.queue(address)
        session_id = self._own_session(queue, body, holds_session)
        state = body["session-state"]
        queue.set_session_state(session_id or "", None if state is None else _binary(state))
        return {}

    def _own_session(self, queue: Queue, body: Body, holds_session: HoldsSession) -> str | None:
        """Return the session that the request names, which must be locked over the same connection."""
        if not queue.sessions:
            if body.get("session-id") is not None:
                raise errors.not_allowed(f"'{queue.path}' has no sessions.")
            return None
        session_id = str(body["session-id"])
        if not holds_session(queue, session_id):
            raise errors.session_lock_lost(session_id)
        return session_id


def _tokens(body: Body) -> list[UUID]:
    return list(dict.fromkeys(body["lock-tokens"]))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _binary(value: Any) -> bytes:
    if not isinstance(value, bytes | memoryview):
        raise TypeError(value)
    return bytes(value)


def _received(message: Message) -> dict[str, Any]:
    received: dict[str, Any] = {"message": message.encode()}
    if message.lock_token is not None:
        received["lock-token"] = message.lock_token
    return received


def _timestamps(moments: Iterable[int]) -> Array:
    return _array(Data.TIMESTAMP, [timestamp(moment) for moment in moments])


def _array(kind: int, values: list[Any]) -> Array:
    undescribed: Any = UNDESCRIBED  # proton's own annotation forgets it
    return Array(undescribed, kind, *values)


def _text_keys(properties: dict[Any, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in properties.items()}
