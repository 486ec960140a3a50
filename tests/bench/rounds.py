"""Rounds that take turns, so that what disturbs the machine disturbs both sides; medians and what is told from them."""

import math
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Self

type Work = Callable[[], Awaitable[object]]


class Spread(NamedTuple):
    """A median, and between what the middle half of the rounds lies."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Self:
        """Summarise the rounds; a single one has no spread."""
        if len(figures) == 1:
            return cls(figures[0], figures[0], figures[0])
        low, median, high = statistics.quantiles(figures, n=4, method="inclusive")
        return cls(median, low, high)

    @classmethod
    def exactly(cls, figure: float) -> Self:
        """A count, which every round gives alike."""
        return cls(figure, figure, figure)

    def __str__(self) -> str:
        return "" if self.low == self.high else f"[{self.low:.3g}, {self.high:.3g}]".replace("[", "(").replace("]", ")")


async def take_turns[Side](sides: Mapping[Side, Work], rounds: int, repeats: int) -> dict[Side, list[float]]:
    """Time pieces of work: one of each side after the other, again and again.

    Gives:
        For each side the median seconds of its `repeats` pieces, for each round. One piece before the rounds warms up.
    """
    for work in sides.values():
        await work()
    medians: dict[Side, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        seconds: dict[Side, list[float]] = {side: [] for side in sides}
        for _ in range(repeats):
            for side, work in sides.items():
                begin = time.perf_counter()
                await work()
                seconds[side].append(time.perf_counter() - begin)
        for side, taken in seconds.items():
            medians[side].append(statistics.median(taken))
    return medians


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Divide round by round."""
    return Spread.of([a / b for a, b in zip(ours, theirs, strict=True)])


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Fit seconds = a * size ** exponent by least squares on logarithms: 0 is flat, 1 is linear."""
    return statistics.linear_regression([math.log(it) for it in sizes], [math.log(it) for it in seconds]).slope


def milliseconds(seconds: Sequence[float]) -> str:
    """Write the median for people."""
    return f"{statistics.median(seconds) * 1000:.3g} ms"
