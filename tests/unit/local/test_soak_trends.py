"""What counts as growing in a soak."""

from random import Random

import pytest

from infra.local.soak.trends import Trend, trend

MINUTES = 10


def measured(slope: float, *, noise: float = 0.0, warm_up: float = 0.0, spikes: int = 0) -> Trend:
    """Judge ten minutes of a measurement at 100 that grows by `slope` a minute."""
    chance = Random(1)
    points = []
    for second in range(0, MINUTES * 60, 10):
        value = 100 + slope * second / 60 + chance.uniform(-noise, noise) + (warm_up if second > 100 else 0)
        points.append((float(second), value + (900 if second > (MINUTES * 60 - 10 * spikes) else 0)))
    return trend("memory", "MiB", points, limit=0.5)


def test_what_grows_steadily_is_found_by_its_slope() -> None:
    found = measured(slope=0.8)
    assert found.grows
    assert found.slope == pytest.approx(0.8)
    assert found.last - found.first == pytest.approx(0.8 * 4.7, abs=0.1)


def test_noise_and_what_is_taken_in_the_first_minutes_are_no_growth() -> None:
    assert not measured(slope=0.0, noise=3).grows
    assert not measured(slope=0.1, warm_up=50).grows


def test_a_few_bad_moments_are_no_growth_but_hide_none() -> None:
    assert not measured(slope=0.0, spikes=5).grows
    assert measured(slope=0.8, spikes=5).grows


def test_what_shrinks_does_not_grow() -> None:
    assert not measured(slope=-3.0).grows


def test_too_few_points_are_not_judged() -> None:
    with pytest.raises(ValueError, match="memory: 2 points after the warm-up are too few to judge"):
        trend("memory", "MiB", [(0.0, 1.0), (50.0, 1.0), (100.0, 1.0)], limit=1)
