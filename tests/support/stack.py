"""The whole system as a test sees it: started by the same command as a developer's, on free ports."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

from infra.local import issuer
from infra.local import stack as running
from shared.roles import CUSTOMER, Role

ROOT = Path(__file__).parents[2]
STARTS_WITHIN = 120.0
"""Seconds; a loaded two-core machine needs a good part of them."""


class StackFailedError(Exception):
    """The stack did not start, or ended; the message ends with what it printed last."""


@dataclass(frozen=True)
class Stack:
    """A stack that runs: where it answers, and how to hurt it."""

    data: Path
    supervisor: subprocess.Popen[bytes]
    output: Path

    @property
    def base_url(self) -> str:
        """Where the HTTP API begins, less its /api: http://127.0.0.1:PORT."""
        return self._now().base_url

    @property
    def pids(self) -> dict[str, int]:
        """The process ids now, by name: host, servicebus, cosmos. A restart changes them."""
        return self._now().pids

    @property
    def ports(self) -> dict[str, int]:
        """The ports by name: host, servicebus, cosmos. A restart keeps them."""
        return self._now().ports

    @property
    def settings(self) -> dict[str, str]:
        """What the host was given: SqlConnection, ServiceBusConnection, CosmosConnection and the others."""
        return self._now().settings

    @property
    def seconds_to_ready(self) -> float:
        """From the start of the supervisor until the host said that it is ready."""
        seconds = self._now().seconds_to_ready
        assert seconds is not None, "ask when the stack is ready"
        return seconds

    @property
    def issuer_key(self) -> str:
        """What the tokens are signed with."""
        return issuer.key_of(self.data)

    def token(self, *roles: str) -> str:
        """A token with these app roles; without any, with all of the shop's."""
        return issuer.issue(self.issuer_key, roles or Role)

    @property
    def authorized(self) -> dict[str, str]:
        """The headers of somebody who may do everything."""
        return {"Authorization": f"Bearer {self.token()}"}

    def customer_token(self, customer_id: str) -> str:
        """A customer's own token."""
        return issuer.issue(self.issuer_key, [CUSTOMER], UUID(customer_id))

    def printed(self) -> str:
        """All that the stack has printed so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def kill(self, name: str) -> None:
        """End one process (host, servicebus or cosmos) without warning, and wait until the supervisor replaced it.

        The replacement need not be ready: see wait_ready.
        """
        pid = self.pids[name]
        os.kill(pid, signal.SIGKILL)
        self._wait(f"{name} is started again", lambda: self.pids[name] != pid)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Stop one process for a while: its connections stay open, and it answers nothing."""
        pid = self.pids[name]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def locked(self, seconds: float = STARTS_WITHIN) -> Iterator[sqlite3.Connection]:
        """Keep everybody else from writing to ordering's database; gives what reads it meanwhile.

        Args:
            seconds: how long it may take to get the lock.
        """
        file = self.settings["SqlConnection"].removeprefix("sqlite:///").removesuffix(".db") + ".ordering.db"
        with closing(sqlite3.connect(file, isolation_level=None, timeout=seconds)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    def wait_ready(self, seconds: float = STARTS_WITHIN) -> None:
        """Wait until the host answers that it and what it needs are ready.

        Raises:
            StackFailedError: it ended, or is not ready in time.
        """
        self._wait("the stack is ready", self._is_ready, seconds)

    def _is_ready(self) -> bool:
        stack = running.read(self.data)
        if stack is None or stack.seconds_to_ready is None or stack.pid != self.supervisor.pid:
            return False
        try:
            return httpx.get(f"{stack.base_url}/api/health/ready", timeout=10).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _now(self) -> running.Stack:
        stack = running.read(self.data)
        if stack is None:
            raise StackFailedError(f"no stack runs on {self.data}:\n{self.printed()[-4000:]}")
        return stack

    def _wait(self, what: str, is_so: Callable[[], bool], seconds: float = STARTS_WITHIN) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            if self.supervisor.poll() is not None or time.monotonic() > deadline:
                raise StackFailedError(f"waited in vain until {what}:\n{self.printed()[-4000:]}")
            time.sleep(0.05)


@contextmanager
def running_stack(
    data: Path | None = None,
    settings: Mapping[str, str] = {},
    environment: Mapping[str, str] | None = None,
    code: Path = ROOT,
) -> Iterator[Stack]:
    """Start a stack, wait until it is ready, and end it after the body.

    It ends with this process even if that is killed.

    Args:
        data: where it keeps its data, to be found again by the next stack; None: nowhere.
        settings: set or replace settings of the host.
        environment: of the stack; None: that of the tests.
        code: the repository that it runs.

    Raises:
        StackFailedError: it is not ready in time.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-test-") as scratch:
        place = data or Path(scratch) / "data"
        place.mkdir(parents=True, exist_ok=True)
        output = Path(scratch) / "output.txt"
        command = [sys.executable, "-m", "infra.local.child", "infra.local.up", "--data", str(place)]
        command += ["--port", "0", "--servicebus-port", "0", "--cosmos-port", "0", "--payments-port", "0"]
        for name, value in settings.items():
            command += ["--setting", f"{name}={value}"]
        with (
            output.open("wb") as file,
            subprocess.Popen(
                command, cwd=code, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT, env=environment
            ) as supervisor,
        ):
            stack = Stack(place, supervisor, output)
            try:
                stack.wait_ready()
                yield stack
            finally:
                supervisor.terminate()
                try:
                    supervisor.wait(30)
                finally:
                    supervisor.kill()
