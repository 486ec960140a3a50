"""The publisher runs after each commit that wakes it, and goes on whatever the runs before ended with."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from unittest import mock

import pytest

from shared.frame.write_side import publisher
from shared.frame.write_side.publisher import Publisher
from shared.frame.write_side.relay import TopicUnreachable

LONG = 10.0
"""Seconds within which what should happen has happened, on a loaded machine."""


class Runs:
    """A relay whose runs a test watches; each ends as the next entry of `ends` says, and well when there is none.

    A run that ends with a time asks for another one after it.
    """

    def __init__(self, *ends: Exception | timedelta | None) -> None:
        self.ends = list(ends)
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        self.at: list[float] = []

    def __call__(self) -> timedelta | None:
        """Run once."""
        self.at.append(time.monotonic())
        self.begun.release()
        self.go_on.wait(LONG)
        end = self.ends.pop(0) if self.ends else None
        if isinstance(end, Exception):
            raise end
        return end

    def came(self) -> bool:
        """Wait for the next run to begin."""
        return self.begun.acquire(timeout=LONG)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr(publisher, "PAUSE", 0.05)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_nothing_runs_before_the_first_commit_and_each_commit_after_that_is_followed_by_a_run() -> None:
    runs = Runs()
    ours = Publisher(runs, "orders")
    assert not [thread for thread in threading.enumerate() if thread.name == "publisher-orders"]
    for _ in range(3):
        ours.wake()
        assert runs.came()


def test_a_commit_in_the_midst_of_a_run_is_followed_by_another_one() -> None:
    runs = Runs()
    runs.go_on.clear()
    ours = Publisher(runs, "orders")
    ours.wake()
    assert runs.came()
    ours.wake()
    runs.go_on.set()
    assert runs.came(), "the run under way may have looked before the commit"


def test_whoever_wakes_it_waits_for_nothing() -> None:
    runs = Runs()
    runs.go_on.clear()
    ours = Publisher(runs, "orders")
    began = time.monotonic()
    for _ in range(100):
        ours.wake()
    assert time.monotonic() - began < LONG / 2
    runs.go_on.set()


def test_a_publisher_whose_thread_cannot_be_started_fails_no_commit_and_is_started_by_the_next_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = Runs()
    ours = Publisher(runs, "orders")
    with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
        ours.wake()
    assert "orders: publishing waits for a thread" in caplog.text
    ours.wake()
    assert runs.came()


@pytest.mark.parametrize("error", [TopicUnreachable("away"), ValueError("a bug"), OSError("broken")], ids=repr)
def test_a_run_that_fails_is_tried_again_after_a_pause_without_another_commit(error: Exception) -> None:
    runs = Runs(error, error)
    Publisher(runs, "orders").wake()
    for _ in range(3):
        assert runs.came()
    assert min(later - earlier for earlier, later in zip(runs.at, runs.at[1:], strict=False)) >= 0.05


def test_a_run_that_leaves_something_for_later_is_followed_by_another_one_without_a_commit() -> None:
    runs = Runs(timedelta(seconds=0.1), timedelta(), None)
    Publisher(runs, "orders").wake()
    for _ in range(3):
        assert runs.came()
    assert runs.at[1] - runs.at[0] >= 0.1
    assert not runs.begun.acquire(timeout=0.2), "the last run has left nothing"


def test_what_is_left_again_and_again_is_tried_at_ever_longer_intervals_until_a_commit() -> None:
    moment = timedelta(seconds=0.05)
    runs = Runs(*[moment] * 5)
    ours = Publisher(runs, "orders")
    ours.wake()
    for _ in range(4):
        assert runs.came()
    pauses = [later - earlier for earlier, later in zip(runs.at, runs.at[1:], strict=False)]
    assert all(pause >= 0.05 * 2**doubled for doubled, pause in enumerate(pauses)), pauses
    ours.wake()
    assert runs.came(), "a commit waits for no pause"


def test_a_commit_does_not_wait_for_what_was_left_for_later() -> None:
    runs = Runs(timedelta(hours=1))
    ours = Publisher(runs, "orders")
    ours.wake()
    assert runs.came()
    ours.wake()
    assert runs.came()


def test_a_publisher_lives_on_after_errors_and_publishes_what_is_committed_later() -> None:
    runs = Runs(ValueError("a bug"))
    ours = Publisher(runs, "orders")
    ours.wake()
    assert runs.came()
    assert runs.came()
    ours.wake()
    assert runs.came()
    [thread] = {thread for thread in threading.enumerate() if thread is ours._thread}
    assert thread.is_alive()
    assert thread.daemon, "it keeps no process from ending"


def test_each_outage_is_told_once_and_the_next_one_again(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs(TopicUnreachable("first"), TopicUnreachable("first"), None, LookupError("second"))
    ours = Publisher(runs, "orders")
    with caplog.at_level(logging.WARNING):
        ours.wake()
        for _ in range(3):
            assert runs.came()
        ours.wake()
        for _ in range(2):
            assert runs.came()
    until(lambda: len(caplog.records) == 2)
    first, second = caplog.records
    assert first.getMessage() == "orders: publishing waits: first"
    assert not first.exc_info, "an outage is no news to anybody"
    assert second.getMessage() == "orders: publishing waits: second"
    assert second.exc_info, "what nobody expected is told in full"
