"""Timer triggers: NCRONTAB expressions and intervals, in UTC.

Where NCrontab and cron differ, NCrontab's rule holds: six fields beginning with seconds (five are taken to start at
second 0), and a day must satisfy both the day and the weekday field. As measured on the real host, a run into which
ticks fell is followed at once by one more, and runs by hand overlap one another and the scheduled one.
The monitor's blob that remembers missed ticks over a restart is not kept, so nothing is ever past due.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from croniter import croniter

from infra.local.host.rpc import Function, FunctionFailed, Invoke, json_data
from infra.local.host.settings import SettingsError, parse_time_span
from infra.local.host.traces import traceparent_of

log = logging.getLogger("host.timers")

type Schedule = Callable[[datetime], datetime]
"""Gives the first moment after the one passed in."""

_VALUE = r"(?:\d+|[A-Za-z]{3,9})"
_FIELD = re.compile(rf"(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/\d+)?(?:,(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/\d+)?)*")
_CLOCK_STEP = 60.0
"""Seconds; the longest sleep before the wall clock is read again, as it may have been set or the laptop have slept."""


class Timer:
    """One timer-triggered function on its schedule."""

    def __init__(self, function: Function, invoke: Invoke) -> None:
        self.function = function
        self._invoke = invoke
        self._next_after = parse_schedule(function.name, str(function.trigger["schedule"]))
        self._running: set[asyncio.Task[None]] = set()
        self._last: datetime | None = None

    async def run(self) -> None:
        """Fire at every tick until cancelled; a run that has begun outlives the cancellation."""
        if self.function.trigger.get("runOnStartup"):
            await asyncio.shield(self.fire())
        tick = self._next_after(datetime.now(UTC))
        while True:
            while (left := (tick - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 -- a clock sets no event
                await asyncio.sleep(min(left, _CLOCK_STEP))
            await asyncio.shield(self.fire())
            if self._next_after(tick) <= datetime.now(UTC):
                await asyncio.shield(self.fire())
            tick = self._next_after(datetime.now(UTC))

    def fire(self) -> asyncio.Task[None]:
        """Begin a run now; a failure is logged and the schedule goes on."""
        task = asyncio.create_task(self._fire())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def finish(self) -> None:
        """Wait for runs that have begun."""
        await asyncio.gather(*self._running)

    async def _fire(self) -> None:
        now = datetime.now(UTC)
        try:
            await self._invoke(self.function, json_data(self._payload(now)), traceparent=traceparent_of(None))
        except FunctionFailed as failure:
            log.error("%s failed\n%s", self.function.name, failure)  # noqa: TRY400 -- the text is the traceback
        self._last = now

    def _payload(self, now: datetime) -> dict[str, Any]:
        """Build the TimerInfo that the worker's converter reads."""
        status = {
            "Last": (self._last or now).isoformat(),
            "Next": self._next_after(now).isoformat(),
            "LastUpdated": (self._last or now).isoformat(),
        }
        monitored = self.function.trigger.get("useMonitor", True)
        return {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": status if monitored else None,
            "IsPastDue": False,
        }


def parse_schedule(function: str, text: str) -> Schedule:
    """Read an NCRONTAB expression (https://github.com/atifaziz/NCrontab) or an hh:mm:ss interval.

    Raises:
        SettingsError: The text is neither.
    """
    interval = parse_time_span(text)
    if interval:
        return lambda after: after + interval
    fields = text.split()
    if len(fields) == 5:  # noqa: PLR2004 -- a crontab line without seconds
        fields.insert(0, "0")
    if len(fields) != 6 or not all(_FIELD.fullmatch(field) for field in fields):  # noqa: PLR2004 -- NCRONTAB
        raise SettingsError(f"{function}: {text!r} is neither an NCRONTAB expression of six fields nor an interval")
    expression = re.sub(r"[A-Za-z]{3,}", lambda name: name[0][:3], " ".join(fields))
    try:
        croniter(expression, second_at_beginning=True).get_next()
    except ValueError as error:
        raise SettingsError(f"{function}: schedule {text!r}: {error}") from None

    def next_after(after: datetime) -> datetime:
        moment: datetime = croniter(expression, after, second_at_beginning=True, day_or=False).get_next(datetime)
        return moment

    return next_after


async def finish_all(timers: Iterable[Timer], limit: timedelta) -> None:
    """Wait for the runs of all timers, for no longer than a limit."""
    runs = [asyncio.create_task(timer.finish()) for timer in timers]
    if runs:
        await asyncio.wait(runs, timeout=limit.total_seconds())
