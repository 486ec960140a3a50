"""The timers: one function for all relays and one for all checks, however many contexts there are.

With zone redundancy, Azure keeps and bills two instances for each function that HTTP does not trigger (ADR 18). So no
context has a timer of its own: it declares its work. A timer does all pieces at the same time, and a piece that fails
does not stop the others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import azure.functions as func

from shared.frame.messaging.retries import tell
from shared.frame.platform import telemetry
from shared.frame.platform.registry import add_once
from shared.frame.platform.threads import Threads

logger = logging.getLogger(__name__)

SWEEPING = Threads("sweeping", 8)
"""Threads: one for each relay and each piece of the contexts' work, and some to spare."""


class SomeFailed(Exception):
    """Some work of a tick failed; each failure has been logged."""


class HasWork(Protocol):
    """Has work for the timers, by name."""

    @property
    def sweeps(self) -> Mapping[str, Callable[[], None]]:
        """Work that is done on a thread."""

    @property
    def watches(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Work that is done on the event loop."""


def timers(apis: Iterable[HasWork]) -> func.Blueprint:
    """Make the timers that do all this work.

    Raises:
        ValueError: two pieces of work have the same name.
    """
    sweeps: dict[str, Callable[[], None]] = {}
    watches: dict[str, Callable[[], Awaitable[None]]] = {}
    for api in apis:
        for name, sweep in api.sweeps.items():
            add_once(sweeps, name, sweep)
        for name, watch in api.watches.items():
            add_once(watches, name, watch)
    blueprint = func.Blueprint()

    @blueprint.timer_trigger(arg_name="timer", schedule="%RelaySchedule%")
    async def relay_events(timer: func.TimerRequest, context: func.Context) -> None:
        await beside_one_another({name: _on_a_thread(sweep, context) for name, sweep in sweeps.items()})

    @blueprint.timer_trigger(arg_name="timer", schedule="%WatchSchedule%")
    async def keep_watch(timer: func.TimerRequest) -> None:
        await beside_one_another(watches)

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


def _on_a_thread(sweep: Callable[[], None], context: func.Context) -> Callable[[], Awaitable[None]]:
    def of_this_invocation() -> None:
        logs_of = context.thread_local_storage  # ties what is logged on this thread to the invocation
        logs_of.invocation_id = context.invocation_id  # type: ignore[attr-defined]  # it takes any name
        try:
            sweep()
        finally:
            logs_of.invocation_id = None  # type: ignore[attr-defined]  # other work uses the thread next

    return lambda: SWEEPING.run(of_this_invocation)
