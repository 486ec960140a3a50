"""The engines' files say their shape; one of another release is refused in one line, and left as it is."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cosmos_engine.store import Store as CosmosStore
from infra.local.stack import Stack, read
from servicebus_engine.store import Store as ServiceBusStore
from tests.support.stack import ROOT

ENGINES = {"cosmos": "cosmos.db", "servicebus": "servicebus.sqlite"}


def shape_of(file: Path, new: int | None = None) -> int:
    with closing(sqlite3.connect(file)) as sql:
        if new is not None:
            sql.execute(f"PRAGMA user_version = {new}")
        [shape] = sql.execute("PRAGMA user_version").fetchone()
        return int(shape)


def made(engine: str, file: Path) -> None:
    (CosmosStore(str(file)) if engine == "cosmos" else ServiceBusStore(file)).close()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_says_its_shape_and_one_of_before_is_read(engine: str, tmp_path: Path) -> None:
    file = tmp_path / ENGINES[engine]
    made(engine, file)
    assert shape_of(file) == 1
    shape_of(file, 0)
    made(engine, file)
    assert shape_of(file) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_of_a_later_release_is_refused_in_one_line(engine: str, tmp_path: Path) -> None:
    file = tmp_path / ENGINES[engine]
    made(engine, file)
    shape_of(file, 2)
    command = [sys.executable, "-m", f"{engine}_engine", "--port", "0", "--data", str(tmp_path)]
    command += ["--health-port", "none", "--config", str(ROOT / "infra/local/servicebus.json")] * (
        engine == "servicebus"
    )
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "is in shape 2, and this release of the engine reads 0 and 1" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert shape_of(file) == 2


def test_a_note_of_a_stack_in_another_shape_is_as_good_as_none(tmp_path: Path) -> None:
    Stack("http://127.0.0.1:1", str(tmp_path), 1, {}).write(tmp_path)
    assert read(tmp_path) is not None
    Stack("http://127.0.0.1:1", str(tmp_path), 1, {}, shape=2).write(tmp_path)
    assert read(tmp_path) is None
