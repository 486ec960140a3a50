"""The guard over statements: what the product executes is collected, and what no test executes is found."""

import inspect
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.sql.collected import MADE_ANEW, SETTING, entries, left_out
from infra.sql.tsql import statements
from shared.frame.write_side.aggregate_streams import AggregateStreams
from tests.support.database import sqlite_database
from tests.support.tools import ROOT

COMMAND = """
import sys
from uuid import uuid4

import sqlalchemy as sa

from infra.sql import collected

collected.listen()

from shared.catalog import repository
from shared.catalog.tables import LOG, PRODUCTS
from shared.frame.sql.engines import sql_engine
from shared.frame.sql.reading import read_from, rows_of
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.aggregate_streams import AggregateStreams
from shared.catalog.commands.add_product import AddProduct, add_product
from shared.frame.messaging.envelope import Metadata

engine = sql_engine(sys.argv[1], "catalog")
command = AddProduct(name="Tea", unit_price="3.20", currency="EUR", category="Tea")
WriteSide(engine, LOG, lambda: None).run(add_product, command, Metadata())
read_from(engine, LOG.claims.unpublished)
read_from(engine, AggregateStreams(LOG).count)
rows_of(engine, repository.LOAD, {"id": uuid4()})
with engine.connect() as connection:
    connection.execute(sa.select(PRODUCTS.c.name.label("of_the_test")))
engine.dispose()
"""


@cache
def every() -> list[str]:
    return [*(name for name, _ in statements()), *MADE_ANEW]


def run(*arguments: str | Path, cwd: Path = ROOT, notes: Path | None = None) -> subprocess.CompletedProcess[str]:
    # nor does the run inside heed what this one was told by the environment
    environment = {**os.environ, "PYTHONPATH": str(ROOT), SETTING: str(notes or ""), "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def note(folder: Path, *notes: dict[str, Any], of: int = 1) -> Path:
    """Write a process's notes."""
    (folder / f"{of}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in notes), encoding="utf-8")
    return folder


def used(*names: str, sql: str = "SELECT 1") -> dict[str, Any]:
    return {"name": names[0], "sql": sql, "parameters": [], "uses": list(names)}


def test_what_the_product_executes_is_collected_by_name_and_what_a_test_does_by_itself_is_not(tmp_path: Path) -> None:
    url, folder = sqlite_database(tmp_path), tmp_path / "notes"
    folder.mkdir()
    ran = run("-c", COMMAND, url, notes=folder)
    assert ran.returncode == 0, ran.stderr
    found = {each["name"]: each for each in entries(folder)}
    assert found["catalog.functions.LOG.unpublished"]["sql"].startswith("SELECT TOP 1 ")
    assert "catalog.repository.LOAD" in found
    [unit] = [each for name, each in found.items() if "catalog.functions.LOG.append" in name]
    assert unit["sql"].startswith("SET NOCOUNT, XACT_ABORT ON;")
    assert "catalog.repository.INSERT" in unit["uses"]
    assert not [each for each in found.values() if "of_the_test" in each["sql"]]
    missing = " ".join(left_out(folder))
    for executed in (
        "catalog.functions.LOG.unpublished",
        "catalog.repository.LOAD",
        "catalog.functions.LOG.append",
        "catalog.repository.INSERT",
        "frame/write_side/aggregate_streams.py:count",
    ):
        assert f"{executed} " not in f"{missing} "
    assert "catalog.repository.UPDATE " in f"{missing} "
    assert "frame/write_side/aggregate_streams.py:firsts " in f"{missing} "


@pytest.mark.parametrize(
    "missing", ["catalog.repository.LOAD", "frame.operations.audit.RECORD", "ordering.functions.INBOX.find", *MADE_ANEW]
)
def test_one_statement_that_no_process_has_executed_is_found(tmp_path: Path, missing: str) -> None:
    assert missing in every()
    others = [name for name in every() if name != missing]
    assert left_out(note(tmp_path, used(missing, *others[::2]), used(*others[1::2]))) == []
    note(tmp_path, used(*others[::2]))
    assert left_out(note(tmp_path, used(*others[1::2]), of=2)) == [f"no test has executed {missing}"]


def test_a_statement_of_every_log_counts_for_all_and_is_found_when_none_has_executed_it(tmp_path: Path) -> None:
    of_logs = [name for name in every() if name.endswith(".LOG.first_of_command")]
    assert len(of_logs) == 4
    others = [name for name in every() if name not in of_logs]
    assert left_out(note(tmp_path, used(*others, of_logs[0]))) == []
    assert left_out(note(tmp_path, used(*others))) == [f"no test has executed {name}" for name in of_logs]


def test_every_function_that_makes_its_statement_anew_is_asked_for() -> None:
    made = {
        f"frame/write_side/aggregate_streams.py:{name}"
        for name, member in vars(AggregateStreams).items()
        if inspect.isfunction(member) and "connection.execute(" in inspect.getsource(member)
    }
    assert made == set(MADE_ANEW)


def test_an_empty_collection_is_a_finding(tmp_path: Path) -> None:
    assert left_out(tmp_path) == ["no statement has been collected at all"]


def test_each_distinct_statement_of_all_processes_is_an_entry_once(tmp_path: Path) -> None:
    note(tmp_path, used("a"), used("b", sql="SELECT 2"))
    assert [each["name"] for each in entries(note(tmp_path, used("c"), of=2))] == ["a", "b"]


def test_a_whole_run_that_executes_nothing_fails_though_its_tests_are_green(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = test_it.py\n")
    settings = ("-c", tmp_path / "pytest.ini", "--rootdir", tmp_path, "-p", "tests.conftest")
    ran = run("-m", "pytest", *settings, cwd=tmp_path)
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "no statement has been collected at all" in ran.stdout
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
