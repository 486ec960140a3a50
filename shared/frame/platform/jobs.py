"""Jobs: named work that the app does from time to time."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeIs

type Work = Callable[[], None] | Callable[[], Awaitable[None]]
"""What a job does: a function runs on a thread, a coroutine function on the event loop."""


def is_async(work: Work) -> TypeIs[Callable[[], Awaitable[None]]]:
    """Whether the event loop does it."""
    return inspect.iscoroutinefunction(work)


class Tick(Enum):
    """How often a job is done; each value is the setting with the timer's schedule."""

    RELAY = "RelaySchedule"
    WATCH = "WatchSchedule"


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work for a timer.

    Attributes:
        name: is unique in the app; the alarm silent-timer knows the job by it.
        work: does it once; any number of processes may do it at the same time.
        every: how often.
    """

    name: str
    work: Work
    every: Tick
