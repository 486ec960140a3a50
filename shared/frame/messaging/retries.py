"""Retries while a store is away: a trigger waits for the store within one delivery, instead of failing ten deliveries.

Service Bus gives a failed message again at once, so an outage of one second would otherwise make a dead letter.
"""

import logging
import time
from collections.abc import Awaitable, Callable

import stamina
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.frame.sql.errors import OutOfTime, error_number, is_full, is_transient, refuses_the_app
from shared.kernel.refusals import Unavailable

TIMEOUT = 300.0
"""Seconds for which one delivery retries, less than host.json's functionTimeout and maxAutoLockRenewalDuration, both
ten minutes. With ten deliveries an outage may last most of an hour."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between the first two deliveries of a failing message, and the longest pause; each is twice the one before.
Ten deliveries then take some 25 seconds, so that a release that fails on everything gives few messages up at once."""

FIRST_WAIT, LONGEST_WAIT = 0.2, 30.0
"""The same for a message that waits for an earlier one: 81 seconds from its first delivery to its tenth. The earlier
one may be locked by an instance that was lost, and comes again when its lock runs out: after a minute at most."""

FIRST_FOR_RELEASE, LONGEST_FOR_RELEASE = 5.0, 120.0
"""The same for a message that another release can take: ten and a half minutes. While instances are replaced, both
releases take messages; after each pause it is anybody's turn again."""

AWAY = frozenset({408, 410, 429, 449, 500, 502, 503, 504})
"""Statuses by which Cosmos DB says that the same request may succeed later, once the SDK has given up trying."""

REFUSED = frozenset({401, 403})
"""Statuses by which it refuses this app, whatever is asked: by its firewall, or for want of a role or a good token.
Somebody will mend that, and an event can do nothing about it."""

FULL = 1014
"""The sub-status of the one 403 that is about the request: its logical partition has no room left. Of an
operation of a batch the SDK tells the status alone."""


class NotYet(Exception):
    """An earlier event has to be taken in first, and has not arrived: the delivery is repeated until it has."""


class OfAnotherRelease(Exception):
    """Another release has written what this one cannot read: the delivery is repeated until an instance can take it."""


async def with_retries(work: Callable[[], Awaitable[None]]) -> None:
    """Do the work, and repeat it while a store is away; it must be safe to repeat.

    Raises:
        Exception: the work's last error, if a repetition cannot help or the time is over.
    """
    began = time.monotonic()
    try:
        await work()
    except Exception as error:
        if not is_away(error):
            raise
        failed = error
    else:
        return
    left = began + TIMEOUT - time.monotonic()
    async for attempt in stamina.retry_context(
        on=is_away, attempts=None, timeout=left, wait_initial=0.1, wait_max=10.0, wait_jitter=1.0
    ):
        with attempt:
            if attempt.num == 1:
                raise failed  # the library is told of the attempt made above; most work succeeds at once, without it
            await work()


def pause_after(delivery: int, failed: Exception) -> float:
    """Seconds for which to hold back a message that has failed, so that it does not come again at once.

    Args:
        delivery: which one it was, counted from 1.
        failed: what it failed with.
    """
    waits = isinstance(failed, NotYet)
    return _doubled(delivery, *((FIRST_WAIT, LONGEST_WAIT) if waits else (FIRST_PAUSE, LONGEST_PAUSE)))


def pause_for_release(delivery: int) -> float:
    """Seconds for which to hold back a message that waits for another release; `delivery` as above."""
    return _doubled(delivery, FIRST_FOR_RELEASE, LONGEST_FOR_RELEASE)


def _doubled(delivery: int, first: float, longest: float) -> float:
    return min(first * 2.0 ** (delivery - 1), longest)


def tell(logger: logging.Logger, error: Exception, what: str) -> None:
    """Log that something failed: in one line if a store is away, otherwise with the traceback.

    It is a warning if the store comes back by itself, and an error if somebody has to let this app in.
    """
    if is_away(error):
        logger.log(logging.ERROR if is_refused(error) else logging.WARNING, "%s: %s", what, _first_line(error))
    else:
        logger.error("%s", what, exc_info=error)


def _first_line(error: Exception) -> str:
    """Give an error's first line, without the SQL statement or the HTTP answer that follows it.

    Azure SQL's number comes first: it stands at the end of the driver's text, which may be long.
    """
    said, number = (str(error.orig), error_number(error)) if isinstance(error, DBAPIError) else (str(error), None)
    name = f"{type(error).__name__} {number}" if number else type(error).__name__  # the driver's own have 0
    return f"{name}: {said.partition('\n')[0][:200]}"


def is_away(error: Exception) -> bool:
    """Whether an error means that a store is away, or refuses this app, and not that the work is impossible."""
    if is_refused(error):
        return True
    if isinstance(error, HttpResponseError):
        return error.status_code in AWAY
    return (
        isinstance(error, AzureError | PoolTimeoutError | OSError | OutOfTime | Unavailable)
        or is_transient(error)
        or is_full(error)
    )


def is_refused(error: Exception) -> bool:
    """Whether an error means that this app has no access: it got no token, or the store refuses whatever it asks."""
    if isinstance(error, ClientAuthenticationError) or refuses_the_app(error):
        return True
    if not isinstance(error, HttpResponseError):
        return False
    if hasattr(error, "operation_responses"):  # of a batch: the app was let in, and one operation was refused
        return False
    return error.status_code in REFUSED and getattr(error, "sub_status", None) != FULL
