"""Run the Cosmos engine as it is run on a laptop: a process of its own."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEY = "bG9jYWw="
PATIENCE = 30.0
"""Seconds that an engine has to start, on a machine that runs other things."""
ROOT = Path(__file__).parents[2]


def start(data: Path | None, port: int = 0) -> tuple[subprocess.Popen[bytes], str]:
    """Start an engine on a folder, or in memory; its process and connection string once it listens.

    It ends with this process, however that ends.

    Raises:
        RuntimeError: it ended before, or did not listen in time; the message has what it said.
    """
    arguments = ["--port", str(port), "--data", str(data) if data else ":memory:"]
    with tempfile.NamedTemporaryFile("w+b") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local.child", "infra.local.cosmos", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=said,
        )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            said.seek(0)
            for line in said.read().decode().splitlines():
                if " listening on " in line:
                    address = line.rpartition(" ")[2]
                    return process, f"AccountEndpoint=http://{address}/;AccountKey={KEY};"
            time.sleep(0.02)
        stop(process, signal.SIGKILL)
        said.seek(0)
        raise RuntimeError(f"The Cosmos engine did not start:\n{said.read().decode()}")


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> int:
    """End an engine; its exit code."""
    process.send_signal(how)
    try:
        return process.wait(PATIENCE)
    finally:
        if process.stdin:
            process.stdin.close()


@contextmanager
def running_cosmos(data: Path | None = None) -> Iterator[str]:
    """The connection string of an engine that runs on this folder, or in memory, until the block ends."""
    process, connection = start(data)
    try:
        yield connection
    finally:
        stop(process)
