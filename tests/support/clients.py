"""Microsoft's clients of Service Bus for .NET and JavaScript, each with a table of checks that a test runs."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.support.servicebus import REPOSITORY
from tests.support.tools import found

_PACKAGES: Final = REPOSITORY / ".local" / "npm"
"""Where npm's packages are kept between runs."""


def tool(name: str) -> Path | None:
    """Return a program that is not of this repository, None where this computer does not have it."""
    program = found(name)
    return None if program is None else Path(program)


def node_modules(package: Path) -> Path:
    """Return the folder of the packages that a folder's package-lock.json pins, installed if they are not there yet."""
    lock = package / "package-lock.json"
    folder = _PACKAGES / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # the tests of several workers install once
        if not (folder / "done").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(package / name, folder)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=folder, check=True, timeout=300)
            (folder / "done").touch()
    return folder / "node_modules"


def run_dotnet(program: Path, connection_string: str, *arguments: str, timeout: float) -> str:
    """Run the table of .NET's client; returns what it says.

    Raises:
        AssertionError: a check fails; the message is what it says.
    """
    return _run([str(program), *arguments], {"SERVICEBUS_CONNECTION": connection_string}, timeout)


def run_javascript(script: Path, connection_string: str, *arguments: str, timeout: float) -> str:
    """Run the table of JavaScript's client; returns what it says.

    Raises:
        AssertionError: a check fails; the message is what it says.
    """
    environment = {"SERVICEBUS_CONNECTION": connection_string, "NODE_PATH": str(node_modules(script.parent))}
    return _run(["node", str(script), *arguments], environment, timeout)


def _run(command: list[str], environment: dict[str, str], timeout: float) -> str:
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
