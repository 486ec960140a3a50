"""Each engine can be taken alone: its wheel brings what it needs, and its page says what that is."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.alone import python_of
from tests.support.tools import ROOT

LIST = "import importlib.metadata as m; print(*(d.name.lower().replace('_', '-') for d in m.distributions()))"


@pytest.mark.parametrize("engine", ["cosmos", "servicebus"])
def test_the_wheel_of_an_engine_brings_what_its_page_says_and_nothing_else(engine: str, tmp_path: Path) -> None:
    listed = subprocess.run([python_of(engine), "-c", LIST], cwd=tmp_path, capture_output=True, text=True, check=True)
    page = (ROOT / "engines" / engine / "README.md").read_text(encoding="utf-8")
    [named] = re.findall(r"^It brings (.+?)\.$", page, re.MULTILINE | re.DOTALL)
    assert set(listed.stdout.split()) == {f"{engine}-engine", *re.split(r",\s+|\s+and\s+", named)}


@pytest.mark.parametrize("engine", ["cosmos", "servicebus"])
def test_the_command_of_an_engine_is_on_the_path_of_its_environment(engine: str, tmp_path: Path) -> None:
    command = python_of(engine).with_name(f"{engine}-engine")
    ran = subprocess.run([command, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(f"usage: {engine}-engine ")
