"""The files of a running stack: DIR/stack.json describes it, and it holds a lock on DIR/stack.lock while it runs."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from infra.local.files import PRIVATE, write_whole

CALLED_FROM = "DEV_PY_CALLED_FROM"
"""The environment variable with the folder in which dev.py was started, before it changed to the repository's."""


SHAPE = 1
"""The shape of stack.json; a file in another shape counts as missing, because a starting stack writes it anew."""


class AlreadyRunningError(Exception):
    """Another stack runs on the same folder."""


@dataclass(slots=True)
class Stack:
    """A running stack: its address, its folder, and the ports and process ids by name (host, servicebus ...)."""

    base_url: str
    data: str
    pid: int
    ports: dict[str, int]
    pids: dict[str, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    seconds_to_ready: float | None = None
    shape: int = SHAPE

    def write(self, data: Path) -> None:
        """Write stack.json atomically, so that a reader never sees half of it; raises OSError if that fails."""
        write_whole(data / "stack.json", json.dumps(asdict(self), indent=2), PRIVATE)  # a setting may have a password

    @staticmethod
    def forget(data: Path) -> None:
        """Remove stack.json, because the stack has ended."""
        (data / "stack.json").unlink(missing_ok=True)


_WRITTEN = TypeAdapter(Stack)


def given_path(text: str) -> Path:
    """A path of the command line, relative to the folder in which dev.py was started."""
    return Path(os.environ.get(CALLED_FROM, ""), text)


def find(data: Path) -> Stack | None:
    """The stack that runs on this folder; None if there is none. The file that a killed stack left does not count."""
    stack = read(data)
    if stack is None:
        return None
    try:
        with lock(data):
            return None
    except AlreadyRunningError:
        return stack


def read(data: Path) -> Stack | None:
    """The content of stack.json, which may be stale; None if the file is missing or damaged."""
    try:
        stack = _WRITTEN.validate_json((data / "stack.json").read_bytes())
    except (FileNotFoundError, ValueError):  # no file, or no stack in it
        return None
    return stack if stack.shape == SHAPE else None


@contextmanager
def lock(data: Path) -> Iterator[None]:
    """Hold the folder's lock; the system releases it when the process ends, however it ends.

    Raises:
        AlreadyRunningError: another process holds it.
        FileNotFoundError: there is no such folder.
    """
    with (data / "stack.lock").open("a+b") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            stack = read(data)
            where = f" at {stack.base_url} (process {stack.pid})" if stack else ""
            raise AlreadyRunningError(f"A stack is already running on {data}{where}: use it or end it.") from error
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, 0, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
