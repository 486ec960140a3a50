"""Measurements while the system works: each process's memory, and the lag."""

import time
from collections import defaultdict
from collections.abc import Mapping
from statistics import median

import psutil

from infra.local.demo.figures import percentile
from infra.local.demo.shop import Figures
from infra.local.soak.trends import LAG_LIMIT, MEMORY_LIMIT, Trend, trend

LAG = "lag, median"

type Points = list[tuple[float, float]]


class ProcessEndedError(Exception):
    """A process of the stack has ended; the message says which."""


class Samples:
    """Measurements of one stack and one client, each with the seconds since the beginning."""

    def __init__(self, pids: Mapping[str, int], figures: Figures) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        for name, process in list(self._processes.items()):  # the app itself is in the worker's process
            self._processes |= {f"the worker of {name}": child for child in process.children()}
        self._figures = figures
        self._lags_taken = 0
        self._begin = time.monotonic()
        self._memory: dict[str, Points] = defaultdict(list)
        self._lag: Points = []

    def take(self) -> None:
        """Measure now; the lags are those since the last measurement.

        Raises:
            ProcessEndedError: a process has ended, so its memory cannot be measured.
        """
        now = time.monotonic() - self._begin
        for name, process in self._processes.items():
            try:
                self._memory[name].append((now, process.memory_info().rss / 2**20))
            except psutil.NoSuchProcess as error:
                raise ProcessEndedError(f"{name} has ended") from error
        lags = self._figures.lags[self._lags_taken :]
        self._lags_taken += len(lags)
        if lags:
            self._lag.append((now, median(lags) * 1000))

    def trends(self) -> list[Trend]:
        """Judge everything; ValueError if there is too little of something."""
        return [
            *(trend(f"memory of {name}", "MiB", points, MEMORY_LIMIT) for name, points in self._memory.items()),
            trend(LAG, "ms", self._lag, LAG_LIMIT),
        ]

    def worst_lag(self) -> float:
        """Milliseconds within which 99 of 100 changes were seen."""
        return percentile(self._figures.lags, 0.99) * 1000
