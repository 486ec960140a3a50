"""Start the functions host as a process of its own, for tests."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
_START_LIMIT = 60.0
_STOP_LIMIT = 20.0


class HostProcess:
    """A running host: its base URL, its log and its process."""

    def __init__(self, process: "subprocess.Popen[bytes]", log_path: Path) -> None:
        self.process = process
        self._log_path = log_path
        self.url = ""

    @property
    def log(self) -> str:
        """Everything that the host has written so far."""
        return self._log_path.read_text("utf-8", "replace")

    def wait_for_log(self, pattern: str, limit: float = _START_LIMIT) -> re.Match[str]:
        """Return the first match of a regular expression in the log.

        Raises:
            AssertionError: The host ended, or the time limit in seconds passed, without one.
        """
        deadline = time.monotonic() + limit
        while True:
            ended = self.process.poll() is not None
            match = re.search(pattern, self.log)
            if match:
                return match
            assert not ended, f"the host exited with {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"no {pattern!r} within {limit} s in:\n{self.log}"
            time.sleep(0.01)

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> int:
        """Ask the host to stop and return its exit code."""
        self.process.send_signal(sent)
        return self.process.wait(_STOP_LIMIT)


@contextmanager
def started_host(
    app_dir: Path, settings: Mapping[str, str], *arguments: str, module: str = "infra.local.host"
) -> Iterator[HostProcess]:
    """Start a host on a free port without waiting for it; it is ended on the way out.

    Args:
        app_dir: folder of the app's function_app.py.
        settings: environment variables beside those of this process.
        arguments: further ones for the command line.
        module: what is started; another than the host itself takes the same arguments.
    """
    command = [sys.executable, "-m", module, "--app", str(app_dir), "--port", "0", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        log_path = Path(folder, "host.log")
        with log_path.open("wb") as log:
            environ = {**os.environ, **settings, "PYTHONPATH": str(ROOT)}
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        try:
            yield HostProcess(process, log_path)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_STOP_LIMIT)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextmanager
def running_host_process(app_dir: Path, settings: Mapping[str, str], *arguments: str) -> Iterator[HostProcess]:
    """Start a host on a free port and wait until it listens."""
    with started_host(app_dir, settings, *arguments) as host:
        host.url = host.wait_for_log(r"listening on (http://\S+)")[1]
        yield host


@contextmanager
def running_host(app_dir: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Run the functions host on a free port while the block lasts.

    Args:
        app_dir: Folder of the app's function_app.py.
        settings: Environment variables beside those of this process.

    Yields:
        The base URL, such as ``http://127.0.0.1:43210``.
    """
    with running_host_process(app_dir, settings) as host:
        yield host.url
