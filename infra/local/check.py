"""Everything that can be said about the code without running it: `python3 dev.py check`."""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sysconfig.get_path("scripts"))
TOOLS = ROOT.parent / "shared" / "tools"
"""Where the checkers of T-SQL and Bicep lie if they are not on PATH: beside the repository."""


def main() -> int:
    """Run all checks, whichever fail; 0 if none does."""
    checks = {
        "ruff check": lambda: _run("ruff", "check"),
        "ruff format": lambda: _run("ruff", "format", "--check"),
        "mypy": lambda: _run("mypy"),
        "lint-imports": _imports,
        "tsql-check": _tsql,
        "bicep-check": _bicep,
    }
    failed = []
    for name, check in checks.items():
        print(f"--- {name}", flush=True)
        begin = time.monotonic()
        if check() != 0:
            failed.append(name)
        print(f"    {time.monotonic() - begin:.1f} s", flush=True)
    print(f"Failed: {', '.join(failed)}" if failed else "All checks passed")
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
    """Let Microsoft's parser and schema compiler read what Azure SQL would get."""
    checker = _checker("tsql-check")
    if checker is None:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        emit = [sys.executable, "-m", "infra.sql.tsql", "--out", folder]
        code = subprocess.run(emit, cwd=ROOT, check=False).returncode
        if code != 0:
            return code
        schema, statements = Path(folder, "schema.sql"), Path(folder, "statements.json")
        return subprocess.run([checker, "--schema", schema, "--statements", statements], check=False).returncode


def _bicep() -> int:
    """Check the templates against Azure's own resource types; the pipelines also let the Bicep compiler read them."""
    checker = _checker("bicep-check")
    return 0 if checker is None else subprocess.run([checker, "--strict", ROOT / "infra"], check=False).returncode


def _checker(name: str) -> str | None:
    beside = TOOLS / name / name
    found = shutil.which(name) or (str(beside) if beside.exists() else None)
    if found is None:
        print(f"left out: there is no {name} on this computer")
    return found


if __name__ == "__main__":
    sys.exit(main())
