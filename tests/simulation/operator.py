"""An operator who rebuilds a view in the middle of the day, and may find the old one better after all."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

import sqlalchemy as sa
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.frame.operations.errors import GenerationIncomplete
from shared.frame.operations.rebuilding import OVER, Rebuilding
from shared.frame.read_side.view_state import ControlChanged
from tests.simulation import contexts
from tests.simulation.process import Process
from tests.simulation.scheduler import Crash, Scheduler

VIEWS = ("orders", "orders", "products")
LATEST = 30
"""ConcurrencyLimit within which a rebuild begins."""


ROLLED_BACK = 0.5
"""How many rebuilds are followed by a roll-back, if the view gets up to date: a rebuilt generation may show events that
are yet to be delivered, and the one before it would not."""

LULL = 120
"""How many turns ahead of a roll-back the others are spared faults and delays: a projection that is held up between its
two writes, for longer than a switch is agreed ahead, would let readers see a version go backwards. A switch to a
rebuilt generation needs no such care."""

TIMER = 5.0
"""Seconds until somebody looks again whether whoever carries a rebuild on has died."""


class Operator:
    """Goes on until it is done, however often the process that works for it dies.

    Attributes:
        busy: whether there is something left to do.
    """

    def __init__(self, scheduler: Scheduler, start: Callable[[], Process], is_up_to_date: Callable[[], bool]) -> None:
        self._scheduler = scheduler
        self._start = start
        self._is_up_to_date = is_up_to_date
        others = [name for each in contexts.SIMULATED for name in start().rebuildings_of(each.context)]
        self._view = scheduler.random.choice((*VIEWS, *others))
        self.busy = False

    def live(self) -> None:
        """Rebuild, perhaps roll back."""
        self.busy = True
        chance = self._scheduler.random
        for _ in range(chance.randint(1, LATEST)):
            self._scheduler.pause()
        self._insist(_rebuild)
        self._scheduler.note("rebuild")
        if chance.random() < ROLLED_BACK and self._wait():
            self._insist(_roll_back)
            self._scheduler.note("roll-back")
        self.busy = False

    def _wait(self) -> bool:
        """Wait for the moment to roll back; False if it does not come."""
        self._scheduler.spare_others()
        ready = False
        for _ in range(LULL):
            self._scheduler.pause()
            ready = ready or self._is_up_to_date()
        return ready

    def _insist(self, act: Callable[[Rebuilding], Coroutine[Any, Any, None]]) -> None:
        process = self._start()
        while True:
            try:
                self._scheduler.work(act(process.rebuildings[self._view]))
            except Crash:
                process = self._start()
            except (
                CosmosHttpResponseError,
                TimeoutError,
                sa.exc.OperationalError,
                ControlChanged,
                GenerationIncomplete,
            ):
                self._scheduler.pause()  # whether it was done or not, the next look tells
            else:
                return


async def _rebuild(rebuilding: Rebuilding) -> None:
    if await rebuilding.latest() is None:
        await rebuilding.start()
    while (latest := await rebuilding.latest()) is None or latest.step not in OVER:
        await rebuilding.advance(until=math.inf)
        await asyncio.sleep(TIMER)


async def _roll_back(rebuilding: Rebuilding) -> None:
    generations = rebuilding.view.generations
    while (state := await generations.read()).serving != 1:
        if state.switch_at is None:
            await rebuilding.roll_back()
        await asyncio.sleep(1)
