"""Timer triggers: schedules, and the app in apps/clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from infra.local.host.settings import SettingsError
from infra.local.host.timers import parse_schedule
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


def of(function: str, notes: Notes) -> Notes:
    return [note for note in notes if function in note]


@pytest.mark.usefixtures("host")
def test_a_timer_fires_at_every_tick_with_its_status(record: Record) -> None:
    notes = of("every_second", record.wait(lambda notes: len(of("every_second", notes)) >= 3))
    moments = [note["at"] for note in notes]
    assert all(0.5 < later - earlier < 1.9 for earlier, later in pairwise(moments))
    assert not any(note["past_due"] for note in notes)
    status = notes[1]["every_second"]
    assert datetime.fromisoformat(status["Last"]) < datetime.fromisoformat(status["Next"])


@pytest.mark.usefixtures("host")
def test_a_timer_that_runs_on_startup_runs_once(record: Record) -> None:
    notes = record.wait(lambda notes: bool(of("at_start", notes)) and len(of("every_second", notes)) >= 2)
    assert of("at_start", notes) == [{"at_start": {"AdjustForDST": True}}]


def test_a_timer_is_run_by_hand_one_run_at_a_time(host: HostProcess, record: Record, folder: Path) -> None:
    for _ in range(3):
        assert httpx.post(f"{host.url}/admin/functions/by_hand", json={}).status_code == 202
    before = len(of("every_second", record.wait(lambda notes: bool(of("by_hand", notes)))))
    record.wait(lambda notes: len(of("every_second", notes)) > before)  # another timer goes on meanwhile
    assert of("by_hand", record.notes()) == [{"by_hand": "begins"}]
    (folder / "go").touch()
    notes = of("by_hand", record.wait(lambda notes: len(of("by_hand", notes)) == 6))
    assert [note["by_hand"] for note in notes] == ["begins", "ends"] * 3


def test_a_timer_that_raises_is_logged_and_lives_on(host: HostProcess) -> None:
    for count in (1, 2):
        assert httpx.post(f"{host.url}/admin/functions/FAILS", json={}).status_code == 202
        host.wait_for_log("(?s)" + ".*fails failed\nTraceback.*LookupError: a timer's mistake" * count)


def test_a_timer_is_announced_with_its_schedule(host: HostProcess) -> None:
    assert "every_second: timerTrigger * * * * * *" in host.log
