"""The model of dispatch takes the times that were measured on the real host (600 sessions of one message each)."""

import pytest

from tests.bench.dispatch_model import Arrival, Grouping, Instance, orders


@pytest.mark.parametrize(("slots", "idle", "measured"), [(128, 1.0, 4.7), (32, 1.0, 18.7), (128, 0.05, 1.7)])
def test_the_model_agrees_with_the_real_host(slots: int, idle: float, measured: float) -> None:
    sessions = [Arrival(0.0, str(number)) for number in range(600)]
    outcome = Instance(Grouping("", None, slots, idle), store=0.0, jitter=0.0).take(sessions)
    last_begun = outcome.lag(1.0)
    assert last_begun == pytest.approx(measured, rel=0.12)
    assert outcome.accepts == 600


@pytest.mark.parametrize("sessions", [None, 0, 8])
def test_every_event_is_handled_once(sessions: int | None) -> None:
    grouping = Grouping("", sessions, 8, 0.05)
    arrivals = orders(grouping, 50, 5, seed=3)
    assert len(Instance(grouping).take(arrivals).lags) == len(arrivals)
