"""The timers: one function for all relays and one for everything that is watched, however many contexts there are.

Where zones are redundant Azure keeps, and bills, two instances for each function that HTTP does not trigger (ADR 18).
So no context has a timer of its own: it says what is to be done, and each piece of work is done beside the others and
apart from their failures.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import azure.functions as func

from shared.frame.messaging.retries import tell
from shared.frame.platform.threads import Threads

logger = logging.getLogger(__name__)

SWEEPING = Threads("sweeping", 8)
"""One for each relay and each thing that contexts do, and some to spare."""


class SomeFailed(Exception):
    """A tick was not done in full; what went wrong has been logged."""


class HasWork(Protocol):
    """Has something to do from time to time, by name."""

    @property
    def sweeps(self) -> Mapping[str, Callable[[], None]]:
        """What is done on a thread."""

    @property
    def watches(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What is done on the loop."""


def timers(apis: Iterable[HasWork]) -> func.Blueprint:
    """Let timers do what these have to do from time to time."""
    sweeps = {name: sweep for api in apis for name, sweep in api.sweeps.items()}
    watches = {name: watch for api in apis for name, watch in api.watches.items()}
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
            logs_of.invocation_id = None  # type: ignore[attr-defined]  # the thread is others' after this

    return lambda: SWEEPING.run(of_this_invocation)
