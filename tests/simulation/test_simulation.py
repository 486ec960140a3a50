"""The system keeps its promises under faults; a seed that breaks one is printed with the command that replays it."""

from collections import Counter

import pytest

from tests.simulation import FAULTS
from tests.simulation.run import simulate, simulate_all

SEEDS = 1_000
"""The nightly pipelines run more, and others each night."""


def test_no_promise_is_broken_in_a_thousand_shops() -> None:
    faults: Counter[str] = Counter()
    accepted = 0
    for outcome in simulate_all(range(SEEDS)):
        assert not outcome.wrong, str(outcome)
        faults.update(outcome.faults)
        accepted += outcome.accepted
    assert (+faults).keys() == FAULTS.keys(), "every kind of fault was injected"
    assert accepted > 10 * SEEDS, "the shops were busy"


@pytest.mark.parametrize("seed", [7, 1_234])
def test_a_seed_always_tells_the_same_story(seed: int) -> None:
    assert simulate(seed) == simulate(seed)
