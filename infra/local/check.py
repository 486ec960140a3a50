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
TSQL_CHECK = ROOT.parent / "shared" / "tools" / "tsql-check" / "tsql-check"
"""Where the T-SQL checker lies if it is not on PATH: beside the repository."""


def main() -> int:
    """Run all checks, whichever fail; 0 if none does."""
    checks = {
        "ruff check": lambda: _run("ruff", "check"),
        "ruff format": lambda: _run("ruff", "format", "--check"),
        "mypy": lambda: _run("mypy"),
        "lint-imports": _imports,
        "tsql-check": _tsql,
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
    checker = shutil.which("tsql-check") or (str(TSQL_CHECK) if TSQL_CHECK.exists() else None)
    if checker is None:
        print("left out: there is no tsql-check on this computer")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        emit = [sys.executable, "-m", "infra.sql.tsql", "--out", folder]
        code = subprocess.run(emit, cwd=ROOT, check=False).returncode
        if code != 0:
            return code
        schema, statements = Path(folder, "schema.sql"), Path(folder, "statements.json")
        return subprocess.run([checker, "--schema", schema, "--statements", statements], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
