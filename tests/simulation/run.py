"""Run a shop from a seed, and say what was broken."""

import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import stamina

from infra.sql.migrate import migrate
from tests.simulation.shop import Shop
from tests.simulation.truth import broken

FAULT_RATE = 0.04
SCHEMAS = ("ordering", "catalog", "customers")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a seed led to."""

    seed: int
    broken: list[str]
    faults: dict[str, int]
    accepted: int

    def __str__(self) -> str:
        """Name the seed, what it broke, and how to see it again."""
        lines = "\n  ".join(self.broken[:10])
        return f"seed {self.seed}:\n  {lines}\nAgain: python3 dev.py simulate --seed {self.seed}"


@cache
def _empty_shop() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=_memory()))
    migrate(f"sqlite:///{folder / 'shop.db'}")
    for schema in SCHEMAS:
        with closing(sqlite3.connect(folder / f"shop.{schema}.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the file alone is the database
    return folder


def _memory() -> str | None:
    """Keep the databases out of the disk's way, where the system has a folder in memory."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


@contextmanager
def _copy() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=_memory()) as folder:
        for schema in SCHEMAS:
            shutil.copy(_empty_shop() / f"shop.{schema}.db", folder)
        yield Path(folder)


def simulate(seed: int, fault_rate: float = FAULT_RATE) -> Outcome:
    """Run one shop to its end."""
    with _copy() as folder, stamina.set_testing(True, attempts=10, cap=True):
        shop = Shop(seed, fault_rate, folder)
        try:
            with mock.patch("shared.messaging.event_log.uuid4", shop.scheduler.uuid):
                shop.run()
                wrong = list(broken(shop))
        except Exception as error:  # noqa: BLE001  # an error is a finding like others, with its seed
            wrong = [f"{type(error).__name__}: {error}"]
        finally:
            for engine in shop.engines.values():
                engine.dispose()
    accepted = sum(sent.accepted is not None for sent in shop.sent)
    return Outcome(seed, wrong, shop.scheduler.faults, accepted)


def simulate_all(seeds: Iterable[int], fault_rate: float = FAULT_RATE) -> Iterator[Outcome]:
    """Run many shops, one process for each core, and give their outcomes as they come."""
    with ProcessPoolExecutor(initializer=logging.disable, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(simulate, fault_rate=fault_rate), seeds, chunksize=10)
