"""dev.py finds a Python that can make .venv, wherever it is, and says what to install when there is none."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
REAL = Path(getattr(sys, "_base_executable", sys.executable))

FIND = """
import sys
sys.version_info = (3, 11, 2)  # as if Debian's python3 had started it
import dev
print(dev.find_python())
"""


def find(home: Path, path: Path | str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """What dev.py finds in a home directory and on a PATH."""
    return subprocess.run(
        [sys.executable, "-c", FIND],
        cwd=ROOT,
        env={"HOME": str(home), "PATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def python(path: Path) -> Path:
    """An interpreter of the right version under another name, as a link in a folder of PATH is."""
    return script(path, f'exec "{REAL}" "$@"')


def test_a_python_on_path_is_found_behind_a_shim_that_leads_nowhere(tmp_path: Path) -> None:
    shim = script(tmp_path / "shims" / f"python{VERSION}", 'echo "pyenv: python: command not found" >&2; exit 127')
    real = python(tmp_path / "bin" / f"python{VERSION}")
    found = find(tmp_path, f"{shim.parent}{os.pathsep}{real.parent}")
    assert Path(found.stdout.strip()).samefile(REAL), found.stderr


@pytest.mark.parametrize("root", [".pyenv", "elsewhere"])
def test_a_python_that_pyenv_keeps_is_found_though_it_is_not_on_path(tmp_path: Path, root: str) -> None:
    shim = script(tmp_path / root / "shims" / f"python{VERSION}", "exit 127")
    python(tmp_path / root / "versions" / f"{VERSION}.1" / "bin" / "python")
    environment = {} if root == ".pyenv" else {"PYENV_ROOT": str(tmp_path / root)}
    found = find(tmp_path, shim.parent, **environment)
    assert Path(found.stdout.strip()).samefile(REAL), found.stderr


def test_a_python_that_uv_keeps_is_found(tmp_path: Path) -> None:
    kept = python(tmp_path / "kept" / "python")
    uv = script(tmp_path / "bin" / "uv", f'[ "$*" = "python find {VERSION}" ] && echo "{kept}"')
    found = find(tmp_path, uv.parent)
    assert Path(found.stdout.strip()).samefile(REAL), found.stderr


def test_a_python_that_cannot_make_a_venv_is_passed_over_and_the_reason_given(tmp_path: Path) -> None:
    path = tmp_path / "bin"
    script(path / f"python{VERSION}", f'exec "{REAL}" -c "import sys; sys.modules[\'ensurepip\'] = None; $2" "$3"')
    found = find(tmp_path, path)
    assert found.returncode == 1
    assert f"apt install python{VERSION}-venv" in found.stderr.partition("Looked at:")[2]


def test_another_version_under_the_right_name_is_passed_over(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "python3.14", f'exec "{REAL}" "$@"')
    found = find(tmp_path, tmp_path / "bin")
    assert found.returncode == 1
    assert f"is Python {VERSION}" in found.stderr


def test_without_any_python_it_says_what_to_install(tmp_path: Path) -> None:
    found = find(tmp_path, tmp_path)
    assert found.returncode == 1
    assert "Python 3.13 or newer was not found" in found.stderr
    assert "uv python install 3.13" in found.stderr
    assert "Traceback" not in found.stderr


def test_dev_py_is_written_in_the_language_of_python_3_9() -> None:
    ast.parse((ROOT / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 9))


def pythons() -> list[str]:
    kept = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    recent = [str(path) for path in kept if int(path.parts[-3].split(".")[1]) >= 9]
    return [sys.executable, "/usr/bin/python3", *recent] if Path("/usr/bin/python3").exists() else [sys.executable]


@pytest.mark.parametrize("interpreter", pythons())
def test_every_python_on_this_computer_since_3_9_can_start_it(interpreter: str) -> None:
    shown = subprocess.run([interpreter, "dev.py", "help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "start the whole system" in shown.stdout


def test_a_command_there_is_not_is_answered_with_those_there_are() -> None:
    shown = subprocess.run([sys.executable, "dev.py", "upp"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 2
    assert "there is no command 'upp'" in shown.stderr
    assert "start the whole system" in shown.stderr
