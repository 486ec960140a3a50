"""Run the Cosmos engine as it is run on a laptop: a process of its own."""

import base64
import signal
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import httpx

from cosmos_engine.admission import EMULATOR_KEY, decoded, payload, signed
from cosmos_engine.running import TIMEOUT, Engine, running

KEY = EMULATOR_KEY
ROOT = Path(__file__).parents[2]


def start(data: Path | None, port: int = 0, key: str = KEY, *more: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start an engine on a folder, or in memory; its process and connection string once it listens.

    Raises:
        RuntimeError: it ended before, or did not listen in time; the message has what it said.
    """
    engine = Engine(data, port, key, more)
    return engine.process, engine.connection_string


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> int:
    """End an engine; its exit code."""
    process.send_signal(how)
    try:
        return process.wait(TIMEOUT)
    finally:
        if process.stdin:
            process.stdin.close()


class Signing(httpx.Auth):
    """Signs requests as the SDKs do, for tests that send them without one."""

    def __init__(self, key: str = KEY) -> None:
        self._secret = decoded(key)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Add the two headers that the service asks for."""
        date = formatdate(usegmt=True)
        signature = base64.b64encode(signed(payload(request.method, request.url.path, date), self._secret)).decode()
        request.headers["x-ms-date"] = date
        request.headers["authorization"] = quote(f"type=master&ver=1.0&sig={signature}", safe="")
        yield request


@contextmanager
def running_cosmos(data: Path | None = None) -> Iterator[str]:
    """The connection string of an engine that runs on this folder, or in memory, until the block ends."""
    with running(data) as engine:
        yield engine.connection_string
