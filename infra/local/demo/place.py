"""The stack of the demo: the running one, or one of its own that leaves nothing behind."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local import stack
from infra.local.up import READY_WITHIN

POLL = 0.05
"""Seconds between two looks at whether the stack is ready."""
ENDS_WITHIN = 30.0
"""Seconds that a stack has to end in order."""
ROOT = Path(__file__).parents[3]


class NoStackError(Exception):
    """No stack could be started; the message ends with its output."""


@contextmanager
def own_stack() -> Iterator[stack.Stack]:
    """Start a stack on free ports, and end it after the body.

    Raises:
        NoStackError: it is not ready in time.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-demo-", ignore_cleanup_errors=True) as scratch:
        data, output = Path(scratch) / "data", Path(scratch) / "output.txt"
        data.mkdir()
        command = [sys.executable, "-m", "infra.local.child", "infra.local.up", "--data", str(data)]
        command += ["--port", "0", "--servicebus-port", "0", "--cosmos-port", "0", "--payments-port", "0"]
        with (
            output.open("wb") as file,
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=file, stderr=file) as process,
        ):
            try:
                yield _ready(process, data, output)
            finally:
                process.terminate()
                try:
                    process.wait(ENDS_WITHIN)
                finally:
                    process.kill()


def _ready(process: subprocess.Popen[bytes], data: Path, output: Path) -> stack.Stack:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        found = stack.read(data)
        if found and found.seconds_to_ready is not None:
            return found
        time.sleep(POLL)
    said = output.read_text(encoding="utf-8", errors="replace")
    raise NoStackError(f"The stack did not start. It said:\n{said[-4000:]}")
