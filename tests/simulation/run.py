"""Run a shop from a seed, and say what was broken."""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from types import SimpleNamespace
from unittest import mock

import stamina

from tests.simulation.provider import FaultyProvider
from tests.simulation.scheduler import START, Scheduler
from tests.simulation.shop import Shop
from tests.simulation.truth import broken

FAULT_RATE = 0.04

SERVED_AT_ONCE = (1, 2, 1_000)
"""Waiting orders that one change serves: shops take turns. Few of them let timers serve on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a seed led to.

    Attributes:
        broken: the promises that were not kept.
        error: what the shop, or the look at it, failed with.
    """

    seed: int
    broken: list[str]
    error: str | None
    faults: dict[str, int]
    accepted: int
    fault_rate: float

    @property
    def wrong(self) -> list[str]:
        """All that must not be: the error, and the broken promises."""
        return [*([self.error] if self.error else []), *self.broken]

    def __str__(self) -> str:
        """Name the seed, what was wrong, and how to see it again."""
        lines = "\n  ".join(self.wrong[:10])
        rate = "" if self.fault_rate == FAULT_RATE else f" --faults {self.fault_rate}"
        return f"seed {self.seed}:\n  {lines}\nAgain: python3 dev.py simulate --seed {self.seed}{rate}"


@contextmanager
def _seeded(scheduler: Scheduler, provider: FaultyProvider) -> Iterator[None]:
    """Let ids and times that nobody hands in follow from the seed, and Stripe's library find the shop's provider."""
    clock = SimpleNamespace(now=lambda _zone: scheduler.clock())
    over = SimpleNamespace(now=lambda _zone: scheduler.now + timedelta(days=4))  # an erasure can be withdrawn no more
    monotonic = SimpleNamespace(monotonic=scheduler.seconds)
    wall = SimpleNamespace(time=lambda: START.timestamp() + scheduler.seconds())

    async def at_once[Result](work: Callable[[], Result]) -> Result:
        return work()

    with (
        mock.patch("stripe.RequestsClient", return_value=provider),
        mock.patch("infra.local.payments.app.run_in_threadpool", at_once),
        mock.patch("infra.local.payments.app.time", wall),
        mock.patch("shared.payments.jobs.perform_due.datetime", clock),
        mock.patch("shared.payments.jobs.perform_due.time", monotonic),
        mock.patch("shared.frame.read_side.projection.datetime", clock),
        mock.patch("shared.customers.jobs.erase_customers.datetime", over),
        mock.patch("shared.catalog.jobs.serve_waiting_orders.time", monotonic),
        mock.patch("shared.ordering.jobs.act_on_deadlines.time", monotonic),
        mock.patch("shared.frame.messaging.envelope.datetime", clock),
        mock.patch("shared.frame.write_side.inbox.datetime", clock),
        mock.patch("shared.frame.read_side.past.time", monotonic),
        mock.patch("shared.ordering.views.order_history.time", monotonic),
        mock.patch("shared.frame.read_side.read_your_writes.time", monotonic),
        mock.patch("shared.frame.write_side.commands.time", monotonic),
        mock.patch("shared.frame.write_side.unit_of_work.time", monotonic),
    ):
        yield


def simulate(seed: int, fault_rate: float = FAULT_RATE) -> Outcome:
    """Run one shop to its end."""
    with stamina.set_testing(True, attempts=10, cap=True):
        shop = Shop(seed, fault_rate)
        found: list[str] = []
        error = None
        try:
            served = mock.patch("shared.catalog.repository.SERVED_AT_ONCE", SERVED_AT_ONCE[seed % len(SERVED_AT_ONCE)])
            with closing(shop.provider), served, _seeded(shop.scheduler, shop.provider):
                shop.run()
                found.extend(broken(shop))
        except Exception as failure:  # noqa: BLE001  # an error is told like a broken promise, with its seed
            error = f"{type(failure).__name__}: {failure}"
    accepted = sum(sent.accepted is not None for sent in shop.clients.sent)
    return Outcome(seed, found, error, shop.scheduler.faults, accepted, fault_rate)


def simulate_all(seeds: Iterable[int], fault_rate: float = FAULT_RATE) -> Iterator[Outcome]:
    """Run many shops, one process for each core, in the time that nothing else needs; give outcomes as they come."""
    with ProcessPoolExecutor(initializer=_in_the_background, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(simulate, fault_rate=fault_rate), seeds, chunksize=10)


def _in_the_background() -> None:
    logging.disable()
    if sys.platform != "win32":
        os.nice(19)
