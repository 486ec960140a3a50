"""Checkers that are pinned with the tests, as commands of the virtual environment."""

import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]


def check(tool: str, *arguments: str | Path) -> None:
    """Run a checker in the repository, and fail with what it says if it is not content."""
    command = Path(sysconfig.get_path("scripts")) / tool
    ran = subprocess.run([command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
