"""How `python3 dev.py test` runs the tests: in which order, and what fails a run though its tests are green."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dev
from infra.sql.collected import SETTING
from tests.support.slow import SLOW
from tests.support.tools import ROOT

MODULE = """
import pytest

@pytest.fixture(scope="module", autouse=True)
def once(tmp_path_factory):
    with open({log!r}, "a") as log:
        log.write(__file__ + chr(10))

@pytest.mark.parametrize("number", range({tests}))
def test_it(number):
    pass
"""


SKIPPED = """
import pytest

def test_it():
    pytest.skip("there is no such tool")
"""
LEFT_OPEN = """
import socket

def test_it():
    itself = [socket.socket()]
    itself.append(itself)  # until Python collects garbage
"""


def run_inside(folder: Path, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder with what holds for all tests here."""
    command = [sys.executable, "-m", *dev.COMMANDS["test"], "-c", str(ROOT / "pyproject.toml"), "--rootdir", "."]
    # the run inside does not heed what this one was told by the environment; and the others' plugins take long to load
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin,pytest_asyncio.plugin"}
    environment |= {"PYTHONPATH": str(ROOT), SETTING: "", "PYTEST_ADDOPTS": "", **plugins, **settings}
    command += ["-p", "tests.conftest", *options]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_slow_files_come_first_and_then_those_of_many_tests_and_a_file_is_one_processs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    files = {**dict.fromkeys(reversed(SLOW), 1), "tests/a/test_a.py": 2, "tests/unit/test_many.py": 9}
    for file, tests in files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(MODULE.format(log=str(log), tests=tests))
    expected = [*SLOW, "tests/unit/test_many.py", "tests/a/test_a.py"]
    ran = run_inside(tmp_path, "--numprocesses=2", "-v", *files)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{sum(files.values())} passed" in ran.stdout
    begun = [str(Path(line).relative_to(tmp_path)) for line in log.read_text().splitlines()]
    assert sorted(begun) == sorted(expected), "each file's fixtures are set up once"
    for number in (0, 1):
        of_process = list(dict.fromkeys(re.findall(rf"\[gw{number}\].* (tests/\S+)::", ran.stdout)))
        assert of_process, ran.stdout
        assert of_process == sorted(of_process, key=expected.index)


def test_the_slow_files_exist() -> None:
    assert [file for file in SLOW if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("processes", [0, 1])
def test_a_skipped_test_fails_a_run_that_has_what_every_test_needs(tmp_path: Path, processes: int) -> None:
    (tmp_path / "test_it.py").write_text(SKIPPED)
    command = (tmp_path, f"--numprocesses={processes}", "test_it.py")
    assert run_inside(*command, TANDEM_NO_SKIPS="").returncode == pytest.ExitCode.OK
    ran = run_inside(*command, TANDEM_NO_SKIPS="1")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout + ran.stderr
    assert "TANDEM_NO_SKIPS=1: 1 skipped, and that is a failure here" in ran.stdout


def test_what_a_file_leaves_open_fails_that_file(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(LEFT_OPEN)
    (tmp_path / "test_b.py").write_text("def test_it():\n    pass\n")
    ran = run_inside(tmp_path, "--numprocesses=0", "test_a.py", "test_b.py")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout + ran.stderr
    assert "2 passed, 1 error" in ran.stdout, ran.stdout + ran.stderr
    assert "ERROR test_a.py::test_it" in ran.stdout
    assert "unclosed <socket" in ran.stdout
