"""A real Service Bus engine for a test: its own process, on a free port, gone at the end."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "infra" / "local" / "servicebus.json"

_START_TIMEOUT = 30.0  # seconds; generous, because a loaded machine imports slowly


class Engine:
    """A running engine.

    Attributes:
        process: the engine's process.
        port: where it listens.
        connection_string: what its clients need.
    """

    def __init__(self, config: dict[str, Any] | Path | None, data: Path | None, directory: Path) -> None:
        """Start the engine and wait until it accepts connections.

        Raises:
            RuntimeError: it ended instead; the message is its log.
        """
        path = config if isinstance(config, Path) else CONFIG
        if isinstance(config, dict):
            path = directory / "config.json"
            path.write_text(json.dumps(config), encoding="utf-8")
        self._log = directory / "engine.log"
        where = ":memory:" if data is None else str(data)
        command = [
            sys.executable,
            "-m",
            "infra.local.servicebus",
            "--port",
            "0",
            "--config",
            str(path),
            "--data",
            where,
        ]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stderr=log)
        self.port = self._wait_for_port()
        self.connection_string = (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
        )

    @property
    def log(self) -> str:
        """What the engine has logged so far."""
        return self._log.read_text(encoding="utf-8")

    def kill(self) -> None:
        """End the process as a crash does, with no chance to tidy up."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def stop(self) -> int:
        """Ask the process to end; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=_START_TIMEOUT)

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline:
            found = re.search(r"listening on [\d.]+:(\d+)", self.log)
            if found:
                return int(found[1])
            if self.process.poll() is not None:
                self.kill()
                raise RuntimeError(f"the engine ended with code {self.process.returncode}: {self.log}")
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"the engine did not start in {_START_TIMEOUT} s: {self.log}")


@contextmanager
def running_engine(config: dict[str, Any] | Path | None = None, data: Path | None = None) -> Iterator[Engine]:
    """Run an engine; see `running_servicebus`, which is enough where only clients are needed."""
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine(config, data, Path(directory))
        try:
            yield engine
        finally:
            engine.kill()


@contextmanager
def running_servicebus(config: dict[str, Any] | Path | None = None, data: Path | None = None) -> Iterator[str]:
    """Run a Service Bus engine and yield its connection string.

    Args:
        config: in the format of the emulator's Config.json; the laptop's own when absent.
        data: a directory for its messages, so that another engine can take them up; in memory when absent.
    """
    with running_engine(config, data) as engine:
        yield engine.connection_string
