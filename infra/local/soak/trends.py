"""Finds growth: the slope of a measurement, robust against moments in which the machine was busy with other work."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

WARM_UP = 0.3
"""Share of the time that is not judged: caches fill and code is loaded."""
MEMORY_LIMIT = 0.5
"""MiB a minute; a leak of half a KiB for each request at the usual rate."""
LAG_LIMIT = 10.0
"""Milliseconds a minute, of the median from a command's answer to its visibility."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The trend of one measurement, after the warm-up.

    Attributes:
        what: the name of the measurement.
        unit: of its values.
        first: the median of the first third.
        last: the median of the last third.
        slope: units a minute, the median over all pairs of points (Theil and Sen).
        limit: the steepest slope that does not count as growing.
    """

    what: str
    unit: str
    first: float
    last: float
    slope: float
    limit: float

    @property
    def grows(self) -> bool:
        """Whether it grows beyond the limit."""
        return self.slope > self.limit


def trend(what: str, unit: str, points: Sequence[tuple[float, float]], limit: float) -> Trend:
    """Judge a measurement.

    Args:
        what: what was measured.
        unit: of its values.
        points: seconds since the beginning, and the value then; in order of time.
        limit: units a minute.

    Raises:
        ValueError: fewer than three points are left after the warm-up.
    """
    begin = points[-1][0] * WARM_UP if points else 0
    judged = [point for point in points if point[0] >= begin]
    if len(judged) < 3:  # noqa: PLR2004 -- a first, a middle and a last third
        raise ValueError(f"{what}: {len(judged)} points after the warm-up are too few to judge")
    third = len(judged) // 3
    return Trend(
        what=what,
        unit=unit,
        first=median(value for _, value in judged[:third]),
        last=median(value for _, value in judged[-third:]),
        slope=60 * median((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(judged, 2)),
        limit=limit,
    )
