"""The bench runs, in every section. What it measures is no test: a loaded machine would fail it."""

import json
import math
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SECTIONS = {
    "1. Against the bare client": 6,
    "2. Round trips": 26,
    "3. Under latency": 4,
    "4a. Throughput against a CRUD service": 1,
    "4b. Against the eventsourcing library": 2,
    "5. Growth": 5,
    "6. Lag": 10,
    "7. Start": 12,
    "8. Stock": 3,
}
"""How many rows each has at the smallest sizes."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Run all of it at the smallest sizes; its rows by section."""
    file = tmp_path_factory.mktemp("bench") / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--smoke", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = defaultdict(list)
    for row in json.loads(file.read_text(encoding="utf-8")):
        found[row["section"].partition(" (")[0]].append(row)
    return dict(found)


def test_every_section_gives_its_rows_with_finite_figures(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert {section: len(found) for section, found in rows.items()} == SECTIONS
    for row in (row for found in rows.values() for row in found):
        assert all(math.isfinite(row[figure]) for figure in ("figure", "low", "high")), row
        assert row["met"] is None or isinstance(row["met"], bool), row


def test_round_trips_keep_their_goals_because_they_are_counted(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert [row["what"] for row in rows["2. Round trips"] if not row["met"]] == []
