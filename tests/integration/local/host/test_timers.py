"""Timer triggers: schedules, and the app in apps/clock."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, override

import httpx
import pytest

from infra.local.host import timers
from infra.local.host.rpc import Function
from infra.local.host.settings import SettingsError
from infra.local.host.timers import Timer, parse_schedule
from tests.integration.local.host.records import Notes, Record
from tests.support.host import HostProcess, running_host_process

APP = Path(__file__).parent / "apps" / "clock"
START = datetime(2026, 1, 30, 23, 59, 30, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("*/15 * * * * *", [datetime(2026, 1, 30, 23, 59, 45, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)]),
        ("0 */5 * * * *", [datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 1, 31, 0, 5, tzinfo=UTC)]),
        ("*/5 * * * *", [datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 1, 31, 0, 5, tzinfo=UTC)]),
        ("0 30 9 * * Mon-Fri", [datetime(2026, 2, 2, 9, 30, tzinfo=UTC), datetime(2026, 2, 3, 9, 30, tzinfo=UTC)]),
        ("0 0 0 * January,mar Sunday", [datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC)]),
        ("0 0 0 13 * 5", [datetime(2026, 2, 13, tzinfo=UTC), datetime(2026, 3, 13, tzinfo=UTC)]),
        ("00:00:20", [START + timedelta(seconds=20), START + timedelta(seconds=40)]),
    ],
)
def test_a_schedule_gives_the_moments_that_ncrontab_gives(schedule: str, expected: list[datetime]) -> None:
    next_after = parse_schedule("f", schedule)
    first = next_after(START)
    assert [first, next_after(first)] == expected


@pytest.mark.parametrize(
    "schedule", ["", "* * *", "@hourly", "60 * * * * *", "0 0 0 L * *", "a b c d e f", "1 2 3 4 5 6 7"]
)
def test_what_is_no_schedule_is_refused_by_name(schedule: str) -> None:
    with pytest.raises(SettingsError, match="nightly"):
        parse_schedule("nightly", schedule)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clock")


@pytest.fixture(scope="module")
def record(folder: Path) -> Record:
    return Record(folder / "record")


@pytest.fixture(scope="module")
def host(folder: Path, record: Record) -> Iterator[HostProcess]:
    settings = {"EVERY_SECOND": "* * * * * *", "RECORD": str(record.path), "GO": str(folder / "go")}
    with running_host_process(APP, settings) as host:
        yield host


class _Clock(datetime):
    """A time that stands until a test lets it pass."""

    moment = START

    @classmethod
    @override
    def now(cls, tz: tzinfo | None = None) -> Any:
        return cls.moment


def of(function: str, notes: Notes) -> Notes:
    return [note for note in notes if function in note]


@pytest.mark.usefixtures("host")
def test_a_timer_fires_at_every_tick_with_its_status(record: Record) -> None:
    def ticks(notes: Notes) -> list[datetime]:
        """When the seconds began in which the runs were due; a run that came late shares its second with the next."""
        nexts = [datetime.fromisoformat(note["every_second"]["Next"]) for note in of("every_second", notes)]
        return [moment - timedelta(seconds=1) for moment in nexts]

    recorded = record.wait(lambda notes: len(set(ticks(notes))) >= 3)
    notes = of("every_second", recorded)
    assert max(Counter(ticks(recorded)).values()) <= 2
    assert all(tick.microsecond == 0 for tick in ticks(recorded))
    assert not any(note["past_due"] for note in notes)
    status = notes[1]["every_second"]
    assert datetime.fromisoformat(status["Last"]) < datetime.fromisoformat(status["Next"])


@pytest.mark.usefixtures("host")
def test_a_timer_that_runs_on_startup_runs_once(record: Record) -> None:
    notes = record.wait(lambda notes: bool(of("at_start", notes)) and len(of("every_second", notes)) >= 2)
    assert of("at_start", notes) == [{"at_start": {"AdjustForDST": True}}]


def test_runs_by_hand_overlap(host: HostProcess, record: Record, folder: Path) -> None:
    # measured on the real host
    for _ in range(3):
        assert httpx.post(f"{host.url}/admin/functions/by_hand", json={}).status_code == 202
    record.wait(lambda notes: [note["by_hand"] for note in of("by_hand", notes)] == ["begins"] * 3)
    (folder / "go").touch()
    notes = of("by_hand", record.wait(lambda notes: len(of("by_hand", notes)) == 6))
    assert [note["by_hand"] for note in notes] == ["begins"] * 3 + ["ends"] * 3


async def test_a_run_into_which_ticks_fell_is_followed_at_once_by_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    # measured on the real host; two ticks fall into the first run, and one run makes up for both
    monkeypatch.setattr(timers, "datetime", _Clock)
    monkeypatch.setattr(timers, "_CLOCK_STEP", 0.001)
    monkeypatch.setattr(_Clock, "moment", START)
    begun: list[datetime] = []
    may_end = asyncio.Event()

    async def invoke(*_: object, **__: object) -> None:
        begun.append(_Clock.moment)
        await may_end.wait()

    async def after(seconds: float, runs: int) -> None:
        """Let the time come, and see that so many runs have begun then, and no more."""
        _Clock.moment = START + timedelta(seconds=seconds)
        async with asyncio.timeout(20):
            while len(begun) < runs:  # noqa: ASYNC110 -- the timer sets no event
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)  # a hundred looks at the clock would be more than enough for another one
        assert len(begun) == runs

    function = Function("f", "f", [{"type": "timerTrigger", "name": "timer", "schedule": "00:00:01"}])
    running = asyncio.create_task(Timer(function, invoke).run())
    await after(0, 0)
    await after(0.9, 0)
    await after(1, 1)
    await after(3.5, 1)
    may_end.set()
    await after(3.5, 2)
    await after(4.4, 2)
    await after(4.5, 3)
    running.cancel()


def test_a_timer_that_raises_is_logged_and_lives_on(host: HostProcess) -> None:
    for count in (1, 2):
        assert httpx.post(f"{host.url}/admin/functions/FAILS", json={}).status_code == 202
        host.wait_for_log("(?s)" + ".*fails failed\nTraceback.*LookupError: a timer's mistake" * count)


def test_a_timer_is_announced_with_its_schedule(host: HostProcess) -> None:
    assert "every_second: timerTrigger * * * * * *" in host.log
