"""The timers: one function for all relays and one for all checks, however many contexts there are.

With zone redundancy, Azure keeps and bills two instances for each function that HTTP does not trigger (ADR 18). So no
context has a timer of its own: it declares jobs. A timer does all of its jobs at the same time, and a piece that fails
does not stop the others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

import azure.functions as func

from shared.frame.messaging.retries import tell
from shared.frame.platform import telemetry
from shared.frame.platform.invocations import in_invocation
from shared.frame.platform.jobs import Job, Tick, Work, is_async
from shared.frame.platform.registry import add_once
from shared.frame.platform.threads import CHORES, Threads

logger = logging.getLogger(__name__)

SWEEPING = Threads("sweeping", 8)
"""Threads: one for each relay and each piece of the contexts' work, and some to spare."""


class SomeFailed(Exception):
    """Some work of a tick failed; each failure has been logged."""


def timers(jobs: Iterable[Job]) -> func.Blueprint:
    """Make the timers that do these jobs.

    Raises:
        ValueError: two jobs have the same name.
    """
    named: dict[str, Job] = {}
    for job in jobs:
        add_once(named, job.name, job)
    blueprint = func.Blueprint()

    @blueprint.timer_trigger(arg_name="timer", schedule="%RelaySchedule%")
    async def relay_events(timer: func.TimerRequest, context: func.Context) -> None:
        await do_all(Tick.RELAY, SWEEPING, context)

    @blueprint.timer_trigger(arg_name="timer", schedule="%WatchSchedule%")
    async def keep_watch(timer: func.TimerRequest, context: func.Context) -> None:
        await do_all(Tick.WATCH, CHORES, context)

    async def do_all(every: Tick, threads: Threads, context: func.Context) -> None:
        due = (job for job in named.values() if job.every is every)
        await beside_one_another({job.name: _on_the_loop(job.work, threads, context) for job in due})

    return blueprint


async def beside_one_another(pieces: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Do all pieces at once, whichever fail.

    Raises:
        SomeFailed: not all of them were done.
    """

    async def done(name: str, do: Callable[[], Awaitable[None]]) -> bool:
        try:
            await do()
        except Exception as error:  # noqa: BLE001  # whatever it is, the others are done
            tell(logger, error, f"{name} failed, and is tried again at the next tick")
            return False
        telemetry.work_done(name)
        return True

    ended = await asyncio.gather(*(done(name, do) for name, do in pieces.items()))
    if failed := [name for name, well in zip(pieces, ended, strict=True) if not well]:
        raise SomeFailed(", ".join(failed))


def _on_the_loop(work: Work, threads: Threads, context: func.Context) -> Callable[[], Awaitable[None]]:
    if is_async(work):
        return work
    return partial(threads.run, in_invocation(context, work))
