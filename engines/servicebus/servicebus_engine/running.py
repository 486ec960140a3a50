"""Runs the engine as a process of its own for the time of a block; the pytest fixture uses it."""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

TIMEOUT: Final = 30.0
"""Seconds that an engine has to start or to end, on a machine that runs other things."""
_POLL: Final = 0.02


class Engine:
    """A running engine, which ends with the process that started it, however that ends.

    Attributes:
        process: the engine's process.
        port: the port on which it listens.
        connection_string: the connection string for its clients.
    """

    def __init__(
        self, config: dict[str, Any] | Path, data: Path | None, directory: Path, python: Path | str = sys.executable
    ) -> None:
        """Start an engine on a free port and wait until it listens.

        Args:
            config: in the format of the official emulator's Config.json, or the path of such a file.
            data: a folder for its messages, so that another engine can take them up; in memory when None.
            directory: a folder for its log.
            python: an interpreter that has this package, if not this one.

        Raises:
            RuntimeError: it ended instead; the message is its log.
        """
        path = config if isinstance(config, Path) else directory / "config.json"
        if not isinstance(config, Path):
            path.write_text(json.dumps(config), encoding="utf-8")
        self._log = directory / "engine.log"
        command = [str(python), "-m", "servicebus_engine", "--with-stdin", "--port", "0", "--health-port", "none"]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(path), "--data", str(data or ":memory:")], stdin=subprocess.PIPE, stderr=log
            )
        self.port = self._listening()
        self.connection_string = (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
        )

    @property
    def log(self) -> str:
        """The engine's log so far."""
        return self._log.read_text(encoding="utf-8")

    def kill(self) -> None:
        """End the process as a crash does, with no chance to tidy up."""
        self.process.kill()
        self._ended()

    def stop(self) -> int:
        """Ask the process to end; returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self._ended()

    def _ended(self) -> int:
        try:
            return self.process.wait(TIMEOUT)
        finally:
            if self.process.stdin:
                self.process.stdin.close()

    def _listening(self) -> int:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if found := re.search(r"listening on [\d.]+:(\d+)", self.log):
                return int(found[1])
            if self.process.poll() is not None:
                self.kill()
                raise RuntimeError(f"the engine ended with code {self.process.returncode}: {self.log}")
            time.sleep(_POLL)
        self.kill()
        raise RuntimeError(f"the engine did not start in {TIMEOUT} s: {self.log}")


@contextmanager
def running(
    config: dict[str, Any] | Path, data: Path | None = None, python: Path | str = sys.executable
) -> Iterator[Engine]:
    """Run an engine on a free port until the block ends; its arguments are those of `Engine`."""
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine(config, data, Path(directory), python)
        try:
            yield engine
        finally:
            engine.kill()
