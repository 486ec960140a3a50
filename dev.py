#!/usr/bin/env python3
"""The developer's entry: everything starts with `python3 dev.py COMMAND`.

  up            start the whole system on this computer (options: dev.py up --help)
  demo          a shop at work on the running system
  token         print a token for the running system (options: dev.py token --help)
  console       open the operators' console of the running system, signed in (options: dev.py console --help)
  rebuild       how the read models are; rebuild one from the log while it serves, or roll back (--help)
  dead-letters  what subscriptions gave up on; replay it, or throw it away (options: dev.py dead-letters --help)
  test          all tests; arguments go to pytest
  soak          orders for ten minutes: does memory grow, does the lag? (options: dev.py soak --help)
  bench         how fast it is, beside what bounds it and what else there is (options: dev.py bench --help)
  simulate      thousands of shops under faults, each from a seed (options: dev.py simulate --help)
  mutate        change the code in small ways: do the tests notice? (options: dev.py mutate --help)
  check         lint, formatting, types, import rules, the T-SQL and the Bicep
  snapshot      write down what the Bicep would deploy (infra/*.snapshot.json), which `check` compares
  policies      let a policy scanner read what the Bicep would deploy; installs it, the first time
  tsql          write down the T-SQL that Azure SQL would get
  new           `new context NAME` makes a bounded context that runs, with tests (--help)
  lock          resolve requirements*.in into requirements*.txt; arguments go to uv (--upgrade, say)
  help          this text

Any Python from 3.9 on will do to begin with: the first run finds a Python 3.13, makes .venv with it and installs the
pinned packages there. Every command then runs in .venv.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
LOCK = ROOT / "requirements-dev.txt"
ENGINES = sorted((ROOT / "engines").glob("*/pyproject.toml"))  # packages of their own, installed where they lie
TURN = ROOT / ".venv.lock"  # held while .venv is looked at and made; beside it, since making it empties the folder
STAMP = VENV / "installed"  # which interpreter, lock and engines; written when an installation is complete

VERSIONS = ("3.13", "3.14", "3.15")  # the first that is found; Azure runs 3.13
COMMANDS = {
    "up": ["infra.local.up"],
    "demo": ["infra.local.demo"],
    "token": ["infra.local.tokens"],
    "console": ["infra.local.console"],
    "rebuild": ["infra.local.rebuild"],
    "dead-letters": ["infra.local.dead_letters"],
    "test": ["pytest", "--numprocesses=logical", "--dist=loadfile", "--no-loadscope-reorder"],
    "soak": ["infra.local.soak"],
    "bench": ["tests.bench"],
    "simulate": ["tests.simulation"],
    "mutate": ["tests.mutation"],
    "check": ["infra.local.check"],
    "snapshot": ["infra.local.bicep"],
    "policies": ["infra.policies.scan"],
    "tsql": ["infra.sql.tsql"],
    "new": ["infra.local.new_context"],
}

PROBE = """
import sys, sysconfig
if "%d.%d" % sys.version_info[:2] != sys.argv[1]: sys.exit("is Python %d.%d" % sys.version_info[:2])
if sysconfig.get_config_var("Py_GIL_DISABLED"): sys.exit("is a free-threaded build, for which packages are missing")
try: import ensurepip, venv
except ImportError: sys.exit("cannot make a venv (Debian, Ubuntu: apt install python%s-venv)" % sys.argv[1])
print(getattr(sys, "_base_executable", sys.executable))
"""
NO_PYTHON = """\
dev.py: Python 3.13 or newer was not found. Install it in one of these ways and start this again:
  everywhere      uv python install 3.13    (https://docs.astral.sh/uv)
                  pyenv install 3.13        (https://github.com/pyenv/pyenv)
  Windows         winget install Python.Python.3.13
  macOS           brew install python@3.13
  Debian, Ubuntu  apt install python3.13 python3.13-venv, where the release has them"""


def main(arguments: list[str]) -> int:
    """Prepare .venv and run the command in it; the exit code is the command's, or 2 for a command there is not."""
    command, *rest = arguments or ["help"]
    if command in ("help", "-h", "--help"):
        print(__doc__)
        return 0
    if command not in COMMANDS and command != "lock":
        print(f"dev.py: there is no command {command!r}.\n\n{__doc__}", file=sys.stderr)
        return 2
    os.environ["DEV_PY_CALLED_FROM"] = str(Path.cwd())  # a folder that a command is given is meant from here
    os.chdir(ROOT)
    if not is_prepared():
        with alone():
            prepare()
    return resolve(rest) if command == "lock" else run(["-m", *COMMANDS[command], *rest])


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock on .venv, and wait while another dev.py does; the system releases it however a process ends."""
    with TURN.open("a+b") as file:
        looks = 0
        while not try_lock(file.fileno()):
            looks += 1
            if looks == 5:  # noqa: PLR2004 -- after a second: one that has nothing to install is through at once
                print("Another dev.py is installing; waiting until it has ended", file=sys.stderr, flush=True)
            time.sleep(0.2)
        yield


if sys.platform == "win32":
    import msvcrt

    def try_lock(file: int) -> bool:
        """Lock a file; False if another process holds it."""
        os.lseek(file, 0, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
else:
    import fcntl

    def try_lock(file: int) -> bool:
        """Lock a file; False if another process holds it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def is_prepared() -> bool:
    """Whether .venv holds what the lock names. An installation removes the stamp before it begins."""
    return stamp() == f"{interpreter()} {packages()}"


def stamp() -> str:
    """What .venv was made of, when it was whole."""
    return STAMP.read_text(encoding="utf-8", errors="replace") if STAMP.exists() else ""


def packages() -> str:
    """What tells one list of packages from another."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in (LOCK, *ENGINES))).hexdigest()


def prepare() -> None:
    """Make .venv hold what the lock names, unless it does already."""
    if is_prepared():
        return
    if stamp().split(" ")[0] != interpreter():  # no .venv, another's, or one that was interrupted half-way
        python = find_python()
        print(f"Making .venv with {python}", flush=True)
        if subprocess.run([python, "-m", "venv", "--clear", str(VENV)], check=False).returncode:
            sys.exit("dev.py: making .venv failed, as it says above.")
    STAMP.unlink(missing_ok=True)
    install()
    STAMP.write_text(f"{interpreter()} {packages()}", encoding="utf-8")


def interpreter() -> str:
    """What tells this .venv from one of another interpreter or in another place; "none" if its Python is gone."""
    if not PYTHON.exists():
        return "none"
    return hashlib.sha256(bytes(VENV) + (VENV / "pyvenv.cfg").read_bytes()).hexdigest()


def install() -> None:
    """Install the pinned packages, each checked against its hash, and show how far it is."""
    total = sum(line[0].isalnum() for line in LOCK.read_text(encoding="utf-8").splitlines())
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "-r", str(LOCK)]
    print(f"Fetching and installing {total} packages: a minute or two, once", flush=True)
    collected = 0
    with subprocess.Popen(pip, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if line.startswith("Collecting"):
                collected += 1
                if sys.stdout.isatty():
                    print(f"\r  {collected} of {total}: {line.split()[1]:<60}", end="", flush=True)
            elif line.startswith("Installing"):
                print(f"\n  {line.count(',') + 1} packages are there; installing them", flush=True)
    if process.returncode:
        sys.exit("dev.py: pip failed, as it says above. The next run starts the installation again.")
    # uv builds them itself and asks no registry; what they need, the lock has pinned
    uv = [str(PYTHON), "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
    editable = [part for path in ENGINES for part in ("--editable", str(path.parent))]
    if editable and subprocess.run([*uv, *editable], check=False).returncode:
        sys.exit("dev.py: installing the engines failed, as it says above. The next run starts it again.")


def find_python() -> str:
    """The path of an interpreter that can make .venv; ends with advice when there is none."""
    refused = []
    for version in VERSIONS:
        for command in candidates(version):
            try:
                probe = subprocess.run(
                    [*command, "-c", PROBE, version], capture_output=True, text=True, timeout=30, check=False
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                refused.append(f"  {' '.join(command)}: {error}")
                continue
            if probe.returncode == 0:
                return probe.stdout.strip()
            reason = (probe.stderr.strip() or f"exit code {probe.returncode}").splitlines()[0]
            refused.append(f"  {' '.join(command)}: {reason}")
    return sys.exit("\n".join([NO_PYTHON, *(["Looked at:", *dict.fromkeys(refused)] if refused else [])]))


def candidates(version: str) -> Iterator[list[str]]:
    """The commands that may be a Python of this version; a pyenv shim, say, may turn out to lead nowhere."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        yield [sys.executable]
    for folder in os.get_exec_path():
        found = shutil.which(f"python{version}", path=folder)
        if found:
            yield [found]
    launcher = shutil.which("py")
    if launcher and os.name == "nt":
        yield [launcher, f"-{version}"]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for pattern in (f"versions/{version}*/bin/python", f"pyenv-win/versions/{version}*/python.exe"):
        yield from ([str(path)] for path in sorted(pyenv.glob(pattern), reverse=True))
    uv = shutil.which("uv")
    if uv:
        found = subprocess.run([uv, "python", "find", version], capture_output=True, text=True, check=False).stdout
        yield from ([path] for path in found.splitlines())


def resolve(options: list[str]) -> int:
    """Pin every package of requirements*.in, with its hash, for all systems."""
    uv = [str(PYTHON), "-m", "uv", "pip", "compile", "--universal", "--python-version", "3.13", "--generate-hashes"]
    engines = [str(path.relative_to(ROOT)) for path in ENGINES]
    for name, more in (("requirements", []), ("requirements-dev", engines), ("infra/policies/requirements", [])):
        sources = [f"{name}.in", *more]
        compiled = [*uv, "--quiet", "--no-annotate", "--no-header", *sources, "--output-file", f"{name}.txt"]
        code = subprocess.run([*compiled, *options], check=False).returncode
        if code:
            return code
        print(f"{name}.txt is resolved")
    return 0


def run(arguments: list[str]) -> int:
    """Become the command; on Windows, where that cannot be done, wait for it. Ctrl-C is the command's to answer."""
    command = [str(PYTHON), *arguments]
    if os.name != "nt":
        os.execv(command[0], command)  # noqa: S606 -- no shell is wanted
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the console sent it to the command as well
                continue


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        if sys.stdout is not None:
            sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:  # the reader has gone, as that of `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        sys.exit(f"dev.py: {error.filename or ROOT} cannot be used: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports an interrupted command
