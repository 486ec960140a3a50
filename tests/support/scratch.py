"""A copy of this repository, in which a test may write what it likes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from infra.local.bicep import compiler
from tests.support.tools import ROOT

LINT = "from importlinter.cli import lint_imports_command as lint; lint()"


def copied(root: Path) -> Path:
    """Copy what git knows of, or would take in, into a repository of its own without a commit."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    if (seen := ROOT / ".mypy_cache").is_dir():  # mypy goes by what a file holds where its time is another
        with suppress(shutil.Error):  # what another mypy renames meanwhile; what is there of it is as good
            shutil.copytree(seen, root / seen.name)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    return root


def ran(root: Path, *command: str, environment: Mapping[str, str] = {}) -> None:
    """Run Python in the copy; what it printed is in the AssertionError if it fails."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


def snapshotted(root: Path) -> None:
    """Write the copy's snapshots; without Bicep they stay as they are, and only `described` knows it."""
    if bicep := compiler():
        path = os.pathsep.join((str(Path(bicep).parent), os.environ["PATH"]))
        ran(root, "-m", "infra.local.bicep", environment={"PATH": path})


def described(root: Path) -> None:
    """Hold what the copy deploys, and its estimate, against its app; without Bicep, its parameter file."""
    without = "tests/infra/test_bicep.py::test_prods_parameter_file_names_every_group_that_is_kept_ready"
    whole = ("tests/infra/test_bicep.py", "tests/infra/test_cost_page.py")
    of_the_shop = "tests/infra/test_cost_page.py::test_dev_costs_less_than_sixteen_dollars_a_month"  # more costs more
    passed(root, *((*whole, "--deselect", of_the_shop) if compiler() else (without,)))


def checked(root: Path, context: str) -> None:
    """Let lint, types and import rules judge the copy: the types of the app and of one context with its tests."""
    ran(root, "-m", "ruff", "check", "--no-cache", ".")
    ran(root, "-m", "ruff", "format", "--no-cache", "--check", ".")
    made = (f"shared/{context}", f"tests/unit/{context}", f"tests/integration/{context}")
    ran(root, "-m", "mypy", "function_app.py", *made)
    engines = os.pathsep.join(str(folder) for folder in (root / "engines").iterdir())
    ran(root, "-c", LINT, "--no-cache", environment={"PYTHONPATH": engines})


def passed(root: Path, *arguments: str) -> None:
    """Run tests of the copy."""
    ran(root, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments)
