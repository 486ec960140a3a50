"""Locks of sessions and messages, renewed while functions run, and the token that a broker may ask for."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from proton import UNDESCRIBED, Array, Data

from infra.local.host import messages
from infra.local.host.amqp import Connection
from infra.local.host.links import AmqpError, Incoming, Receiver
from infra.local.host.subscriptions import Subscription

log = logging.getLogger("host.servicebus")

_SHORTEST = 0.5
"""Seconds between two renewals at least."""


async def put_token(connection: Connection, subscription: Subscription) -> None:
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
    except AmqpError as error:  # if it mattered, the attach that follows is refused and says so
        log.debug("no token put for %s: %s", subscription.path, error)


async def keep_session(
    connection: Connection, subscription: Subscription, receiver: Receiver, overdue: Callable[[], bool]
) -> None:
    """Renew the lock of a session until cancelled, or its present message is overdue."""
    until = receiver.locked_until
    properties = {"associated-link-name": receiver.name}
    while until is not None:
        await asyncio.sleep(_half(until))
        if overdue():
            return
        until = await _renew(
            connection, subscription, "renew-session-lock", {"session-id": receiver.session_id}, properties
        )


async def keep_message(connection: Connection, subscription: Subscription, incoming: Incoming, limit: float) -> None:
    """Renew the lock of a message until cancelled, for no longer than a limit in seconds."""
    until = messages.locked_until(incoming.message)
    end = time.time() + limit
    tokens: Any = Array(UNDESCRIBED, Data.UUID, incoming.lock_token)  # type: ignore[arg-type]  # UNDESCRIBED is meant
    while until is not None and until < end:
        await asyncio.sleep(_half(until))
        until = await _renew(connection, subscription, "renew-lock", {"lock-tokens": tokens}, {})


def _half(until: float) -> float:
    return max((until - time.time()) / 2, _SHORTEST)


async def _renew(
    connection: Connection, subscription: Subscription, operation: str, body: Any, properties: dict[str, str]
) -> float | None:
    """Ask for more time; the new end of the lock as a Unix time in seconds, or None when it was refused."""
    node = f"{subscription.path}/$management"
    try:
        answer = await connection.request(node, {"operation": f"com.microsoft:{operation}", **properties}, body)
    except AmqpError as error:
        if not connection.closed.done():
            log.warning("%s: %s failed: %s", subscription.function.name, operation, error)
        return None
    moment = answer["expiration"] if "expiration" in answer else answer["expirations"].elements[0]
    return int(moment) / 1000
