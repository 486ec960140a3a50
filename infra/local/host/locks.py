"""Locks of sessions and messages, renewed while functions run, and the token that a broker may ask for."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


async def keep_session(connection: Connection, subscription: Subscription, receiver: Receiver, limit: float) -> None:
    """Renew the lock of a session until cancelled, for no longer than a limit in seconds after the accept.

    So does .NET's processor, however busy the session is: then the lock runs out, and whoever accepts the session next
    gets the message in hand as well, this process included.
    """
    until, end = receiver.locked_until, time.time() + limit
    body, properties = {"session-id": receiver.session_id}, {"associated-link-name": receiver.name}
    while until is not None:
        await asyncio.sleep(_half(until))
        if time.time() > end:
            return
        until = await _renew(connection, subscription, "renew-session-lock", body, properties)


@contextmanager
def kept_message(
    connection: Connection, subscription: Subscription, incoming: Incoming, limit: float
) -> Iterator[None]:
    """Renew the lock of a message while the block lasts, for no longer than a limit in seconds.

    Nearly every message is done long before its first renewal, which therefore costs a timer, and a task only when due.
    """
    until, end = messages.locked_until(incoming.message), time.time() + limit
    if until is None or until >= end:
        yield
        return
    due: list[asyncio.Task[None]] = []
    timer = asyncio.get_running_loop().call_later(
        _half(until),
        lambda: due.append(asyncio.create_task(_keep_message(connection, subscription, incoming, end))),
    )
    try:
        yield
    finally:
        timer.cancel()
        for task in due:
            task.cancel()


async def _keep_message(connection: Connection, subscription: Subscription, incoming: Incoming, end: float) -> None:
    tokens: Any = Array(UNDESCRIBED, Data.UUID, incoming.lock_token)  # type: ignore[arg-type]  # UNDESCRIBED is meant
    while True:
        until = await _renew(connection, subscription, "renew-lock", {"lock-tokens": tokens}, {})
        if until is None or until >= end:
            return
        await asyncio.sleep(_half(until))


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
