"""Runs the engine as a process of its own for the time of a block; the pytest fixture uses it."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cosmos_engine.admission import EMULATOR_KEY

TIMEOUT = 30.0
"""Seconds that an engine has to start or to end, on a machine that runs other things."""
POLL = 0.02


class Engine:
    """A running engine, which ends with the process that started it, however that ends.

    Attributes:
        process: the engine's process.
        endpoint: its address, http://127.0.0.1:PORT/.
        connection_string: the connection string for its clients.
    """

    def __init__(
        self,
        data: Path | None = None,
        port: int = 0,
        key: str = EMULATOR_KEY,
        more: Sequence[str] = (),
        python: Path | str = sys.executable,
    ) -> None:
        """Start an engine on a folder, or in memory, and wait until it listens.

        Args:
            data: the folder; in memory when None.
            port: 0 takes a free one.
            key: of the account.
            more: further options of the command line.
            python: an interpreter that has this package, if not this one.

        Raises:
            RuntimeError: it ended early, or did not listen in time; the message has its output.
        """
        command = [str(python), "-m", "cosmos_engine", "--with-stdin", "--port", str(port), "--key", key]
        with tempfile.NamedTemporaryFile("w+b") as said:
            self.process = subprocess.Popen(
                [*command, "--data", str(data or ":memory:"), *more], stdin=subprocess.PIPE, stderr=said
            )
            self.endpoint = self._listening(Path(said.name))
        self.connection_string = f"AccountEndpoint={self.endpoint};AccountKey={key};"

    def stop(self) -> int:
        """Ask the engine to end; its exit code."""
        self.process.terminate()
        return self._ended()

    def kill(self) -> None:
        """End the engine as a crash does."""
        self.process.kill()
        self._ended()

    def _ended(self) -> int:
        try:
            return self.process.wait(TIMEOUT)
        finally:
            if self.process.stdin:
                self.process.stdin.close()

    def _listening(self, said: Path) -> str:
        deadline = time.monotonic() + TIMEOUT
        while True:
            text = said.read_text(encoding="utf-8", errors="replace")
            for line in text.splitlines():
                if " listening on " in line:
                    return f"http://{line.rpartition(' ')[2]}/"
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.kill()
                raise RuntimeError(f"The Cosmos engine did not start:\n{text}")
            time.sleep(POLL)


@contextmanager
def running(data: Path | None = None, python: Path | str = sys.executable) -> Iterator[Engine]:
    """An engine on a free port, which runs on this folder, or in memory, until the block ends."""
    engine = Engine(data, python=python)
    try:
        yield engine
    finally:
        if engine.process.poll() is None:
            engine.stop()
