"""Everything that can be said about the code without running it: `python3 dev.py check`."""

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.local import bicep
from infra.local.screen import command

ROOT = Path(__file__).parents[2]
BIN = Path(sysconfig.get_path("scripts"))
TOOLS = ROOT.parent / "shared" / "tools"
"""Where the checker of T-SQL lies if it is not on PATH: beside the repository."""


KEYS = ("name", "sql", "parameters")
"""The fields of a statement that tsql-check reads."""


def main() -> int:
    """Run all checks, whichever fail; 0 if none does."""
    checks = {
        "ruff check": lambda: _run("ruff", "check"),
        "ruff format": lambda: _run("ruff", "format", "--check"),
        "mypy": lambda: _run("mypy"),
        "lint-imports": _imports,
        "tsql-check": _tsql,
        "bicep": bicep.check,
    }
    failed = []
    for name, check in checks.items():
        print(f"--- {name}", flush=True)
        begin = time.monotonic()
        if check() != 0:
            failed.append(name)
        print(f"    {time.monotonic() - begin:.1f} s", flush=True)
    print(f"Failed: {', '.join(failed)}" if failed else "All checks passed that were not left out")
    return 1 if failed else 0


def _run(tool: str, *arguments: str) -> int:
    return subprocess.run([BIN / tool, *arguments], cwd=ROOT, check=False).returncode


def _imports() -> int:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file).get("tool", {}).get("importlinter", {}).get("contracts")
    if not contracts:
        print("left out: pyproject.toml has no import contract")
        return 0
    return _run("lint-imports")


def _tsql() -> int:
    """Check the statements that Azure SQL would get with Microsoft's parser and schema compiler."""
    checker = _checker()
    if checker is None:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        emit = [sys.executable, "-m", "infra.sql.tsql", "--out", folder]
        code = subprocess.run(emit, cwd=ROOT, check=False).returncode
        if code != 0:
            return code
        schema, statements = Path(folder, "schema.sql"), Path(folder, "statements.json")
        return subprocess.run([checker, "--schema", schema, "--statements", statements], check=False).returncode


def tsql_check(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Check collected statements (infra/sql/collected.py) with tsql-check, if it is installed; give its findings."""
    checker = _checker()
    if checker is None or not entries:
        return []
    with tempfile.TemporaryDirectory() as folder:
        statements = Path(folder, "statements.json")
        emit = [sys.executable, "-m", "infra.sql.tsql", "--out", folder]
        subprocess.run(emit, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        statements.write_text(json.dumps([{key: each[key] for key in KEYS} for each in entries]), encoding="utf-8")
        ran = subprocess.run(
            [checker, "--schema", Path(folder, "schema.sql"), "--statements", statements],
            check=False,
            capture_output=True,
            text=True,
        )
    print(f"{len(entries)} statements that tests executed: {ran.stdout.splitlines()[-1] if ran.stdout else ran.stderr}")
    return [] if ran.returncode == 0 else [*ran.stdout.splitlines(), ran.stderr]


def _checker() -> str | None:
    beside = TOOLS / "tsql-check" / "tsql-check"
    found = shutil.which("tsql-check") or (str(beside) if beside.exists() else None)
    if found is None:
        print("left out: there is no tsql-check on this computer")
    return found


if __name__ == "__main__":
    sys.exit(command(main))
