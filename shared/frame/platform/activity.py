"""The work of this process, minute by minute: counted in memory, and written for operators within half a minute.

Each process writes one small document for each minute in which it worked, and writes it again while the minute lasts.
The documents of all processes together are the history of the last hour (ADR 36). If a process dies, its unwritten
counts are lost.
"""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from uuid import UUID, uuid4

from azure.core.exceptions import AzureError

logger = logging.getLogger(__name__)

WRITTEN_AFTER = 30.0
"""Seconds from the first count until it is written, so that a process makes at most two requests a minute."""

KEPT = 60
"""Minutes that a process keeps while the store is away."""

ORDINARY, UNUSUAL = 20, 50
"""Deliveries of a minute that are noted one by one: the first ones, and the first of those that failed or came again.
All are counted."""

SHORTEST, STEP = 0.001, 1.2
"""The upper bound of the first bucket of lags, in seconds, and the factor to the next bucket."""

type Write = Callable[[str, dict[str, Any]], Awaitable[None]]
"""Writes one minute of one process under an id, again and again."""

_units: ContextVar[list[float] | None] = ContextVar("units", default=None)


@dataclass(slots=True)
class Delivery:
    """One delivery of an event to a subscription."""

    event: str
    subscription: str
    attempt: int
    at: float
    seconds: float = 0.0
    units: float = 0.0
    error: str | None = None

    def content(self) -> dict[str, Any]:
        """Give what is written of it."""
        return {
            "event": self.event,
            "subscription": self.subscription,
            "attempt": self.attempt,
            "at": round(self.at, 3),
            "seconds": round(self.seconds, 4),
            "units": round(self.units, 2),
            "error": self.error,
        }


@dataclass(slots=True)
class Taken:
    """The deliveries to one subscription within a minute; lags are counted by `bucket`."""

    taken: int = 0
    failed: int = 0
    lags: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class Minute:
    """The work of one process within a minute."""

    counts: Counter[str] = field(default_factory=Counter)
    subscriptions: dict[str, Taken] = field(default_factory=dict)
    ordinary: list[Delivery] = field(default_factory=list)
    unusual: list[Delivery] = field(default_factory=list)

    def content(self) -> dict[str, Any]:
        """Give what is written of it."""
        return {
            "counts": dict(self.counts),
            "subscriptions": {
                name: {"taken": it.taken, "failed": it.failed, "lags": {str(at): n for at, n in it.lags.items()}}
                for name, it in self.subscriptions.items()
            },
            "deliveries": [each.content() for each in (*self.ordinary, *self.unusual)],
        }


class ActivityLog:
    """The minutes of one process, until they are written."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._process = uuid4().hex[:12]
        self._lock = Lock()  # commands are carried out on threads
        self._minutes: dict[int, Minute] = {}
        self._unwritten: set[int] = set()
        self._write: Write | None = None
        self._waits_in: asyncio.AbstractEventLoop | None = None
        self._writing: asyncio.Task[None] | None = None

    def write_with(self, write: Write) -> None:
        """Set the function that writes minutes; without one, minutes are dropped."""
        self._write = write

    def count(self, what: str) -> None:
        """Count one more of `what`."""
        with self._lock:
            self._now().counts[what] += 1

    @contextmanager
    def delivery(self, subscription: str, event_id: UUID, occurred_at: datetime, attempt: int) -> Iterator[Delivery]:
        """Note a delivery of an event: how long it takes, what it costs Cosmos DB, and how it ends."""
        delivery = Delivery(str(event_id), subscription, attempt, self._clock())
        spent: list[float] = []
        began, outer = time.perf_counter(), _units.set(spent)
        try:
            yield delivery
        except BaseException as error:  # a delivery that is torn off comes again, too
            delivery.error = type(error).__name__  # its text may have personal data
            raise
        finally:
            _units.reset(outer)
            delivery.seconds, delivery.units = time.perf_counter() - began, sum(spent)
            self._note(delivery, (datetime.now(UTC) - occurred_at).total_seconds())

    def flush_soon(self) -> None:
        """Have unwritten minutes written in half a minute, by the event loop that calls this."""
        loop = asyncio.get_running_loop()
        if self._write is not None and self._unwritten and self._waits_in is not loop:
            self._waits_in = loop
            loop.call_later(WRITTEN_AFTER, self._begin)

    async def write(self) -> None:
        """Write unwritten minutes; if a write fails, they stay for the next time."""
        if self._write is None:
            return
        with self._lock:
            due = {minute: self._minutes[minute].content() for minute in sorted(self._unwritten)}
            self._unwritten.clear()
        for minute, content in due.items():
            try:
                await self._write(f"{minute}-{self._process}", content)
            except (AzureError, TimeoutError, OSError) as error:
                logger.warning("what was done in a minute is written later: %s", type(error).__name__)
                with self._lock:
                    self._unwritten |= due.keys() & self._minutes.keys()
                return
        with self._lock:
            for minute in due.keys() - self._unwritten - {self._minute()}:
                self._minutes.pop(minute, None)

    def _begin(self) -> None:
        self._writing = asyncio.get_running_loop().create_task(self._write_and_go_on())

    async def _write_and_go_on(self) -> None:
        try:
            await self.write()
        finally:
            self._waits_in = None
            self.flush_soon()

    def _note(self, delivery: Delivery, lag: float) -> None:
        with self._lock:
            minute = self._now()
            taken = minute.subscriptions.setdefault(delivery.subscription, Taken())
            unusual = delivery.error is not None or delivery.attempt > 1
            notes, most = (minute.unusual, UNUSUAL) if unusual else (minute.ordinary, ORDINARY)
            if len(notes) < most:
                notes.append(delivery)
            if delivery.error is None:
                taken.taken += 1
                taken.lags[bucket(lag)] += 1
            else:
                taken.failed += 1

    def _now(self) -> Minute:
        number = self._minute()
        if number not in self._minutes:
            self._minutes[number] = Minute()
            for old in sorted(self._minutes)[:-KEPT]:
                del self._minutes[old]
                self._unwritten.discard(old)
        self._unwritten.add(number)
        return self._minutes[number]

    def _minute(self) -> int:
        return int(self._clock() // 60)


ACTIVITY = ActivityLog()
"""The minutes of this process."""


def spend(units: float) -> None:
    """Add request units to the delivery under way that caused them, if there is one."""
    spent = _units.get()
    if spent is not None:
        spent.append(units)


def bucket(seconds: float) -> int:
    """Give the bucket of a lag."""
    return max(0, math.ceil(math.log(max(seconds, SHORTEST) / SHORTEST, STEP)))


def percentile(lags: Counter[int], part: float) -> float | None:
    """Give a percentile of the lags, to within a tenth: `part` of them are not longer. None if there are no lags."""
    wanted, seen = part * lags.total(), 0
    for at in sorted(lags):
        seen += lags[at]
        if seen >= wanted:
            return float(round(SHORTEST * STEP ** max(at - 0.5, 0), 4))
    return None
