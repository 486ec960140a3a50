"""An engine as others get it: its wheel, in an environment that holds what the wheel declares, and nothing else."""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from tests.support.tools import ROOT

_ENVIRONMENTS: Final = ROOT / ".local" / "engines"
"""Where they are kept between runs."""
_LOCK: Final = ROOT / "requirements-dev.txt"
_LONGEST: Final = 300.0
"""Seconds to fetch and install a handful of packages."""


def python_of(engine: str) -> Path:
    """The interpreter that has the wheel of an engine, `cosmos` or `servicebus`: made once for what the sources say."""
    name = f"{engine}-{_state(engine)}"
    _ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with (_ENVIRONMENTS / f"{engine}.lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # the tests of several workers install once
        if not (_ENVIRONMENTS / name / "done").exists():
            for old in _ENVIRONMENTS.glob(f"{engine}-*"):
                shutil.rmtree(old)
            _install(wheel(engine, _ENVIRONMENTS / name), _ENVIRONMENTS / name)
            (_ENVIRONMENTS / name / "done").touch()
    return _ENVIRONMENTS / name / "bin" / "python"


def wheel(engine: str, folder: Path) -> Path:
    """Build the wheel of an engine into a folder; its path."""
    command = [sys.executable, "-m", "uv", "build", "--quiet", "--offline", "--wheel", "--out-dir", str(folder)]
    subprocess.run([*command, str(ROOT / "engines" / engine)], check=True, timeout=_LONGEST)
    [built] = folder.glob("*.whl")
    return built


def _install(built: Path, environment: Path) -> None:
    venv.create(environment, symlinks=True)
    constraints = environment / "constraints.txt"
    pins = re.findall(r"^(\w\S+==[^\\\n]+)", _LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    constraints.write_text("\n".join(pins), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet"]
    command = [*pip, "--disable-pip-version-check", "--constraint", str(constraints), str(built)]
    subprocess.run(command, check=True, timeout=_LONGEST)


def _state(engine: str) -> str:
    sources = [path for path in (ROOT / "engines" / engine).rglob("*") if path.suffix in (".py", ".toml", ".md")]
    digest = hashlib.sha256()
    for path in (_LOCK, *sorted(sources)):
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
