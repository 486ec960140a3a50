"""What a computer without some program leaves out is there otherwise, and is all that is left out."""

import shutil
import subprocess
import sys

import pytest

from tests.support import tools

COLLECT = """
import sys
import pytest
from tests.support import tools
tools.found = lambda name: None
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
"""Lists tests as a computer does that has none of the programs."""


def test_what_may_be_left_out_is_there() -> None:
    assert [path for path in tools.NEEDED if not (tools.ROOT / path).exists()] == []


def test_the_console_needs_a_browser_by_any_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"npm": "/bin/npm"}
    monkeypatch.setattr(shutil, "which", there.get)
    assert tools.left_out()["tests/e2e/console"] == "chromium"
    there["google-chrome"] = "/bin/google-chrome"
    assert tools.found("chromium") == "/bin/google-chrome"
    assert "tests/e2e/console" not in tools.left_out()


def test_what_needs_a_program_that_is_not_there_is_left_out_wherever_it_lies() -> None:
    folders = sorted({path.rpartition("/")[0] for path in tools.NEEDED if path.endswith(".py")})
    run = subprocess.run(
        [sys.executable, "-c", COLLECT, *folders], cwd=tools.ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    collected = {line.partition("::")[0] for line in run.stdout.splitlines() if "::" in line}
    assert len(collected) > len(tools.NEEDED)
    assert collected.isdisjoint(tools.NEEDED)
