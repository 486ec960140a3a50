"""Checkers that are not Python modules: where they are, or why a test is skipped."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (
    Path(sysconfig.get_path("scripts")),
    ROOT.parent / "shared" / "tools" / "bicep-check",
    ROOT.parent / "shared" / "tools" / "tsql-check",
)


def find(tool: str) -> str | None:
    """Where a tool is, if it is on this computer."""
    return shutil.which(tool) or next((str(place / tool) for place in PLACES if (place / tool).exists()), None)


def check(tool: str, *arguments: str | Path, where_from: str) -> None:
    """Run a checker in the repository, and fail with what it says if it is not content.

    Args:
        tool: its command.
        arguments: its arguments.
        where_from: how to get it, for the reader of a skipped test.
    """
    found = find(tool)
    if found is None:
        pytest.skip(f"{tool} is not on this computer: {where_from}")
    ran = subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
