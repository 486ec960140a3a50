"""Run the provider as a process of its own for as long as something needs it."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.local.payments import KEY, SECRET

TIMEOUT = 30.0
"""Seconds that it has to start or to end, on a busy machine."""


class Control:
    """Controls a running provider for tests.

    Attributes:
        url: its address, http://127.0.0.1:PORT.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def movements(self) -> list[dict[str, Any]]:
        """Give the movements of money, in order."""
        return list(self._ask("GET", "/engine/ledger")["movements"])

    def undelivered(self) -> int:
        """Count the deliveries that are still to be made."""
        return int(self._ask("GET", "/engine/ledger")["undelivered"])

    def faults(self) -> int:
        """Count the planned faults that have not happened yet."""
        return int(self._ask("GET", "/engine/ledger")["faults"])

    def expect(self, kind: str, path: str = "", times: int = 1, seconds: float = 0) -> None:
        """Plan a fault; see FAULTS of the application."""
        self._ask("POST", "/engine/faults", {"kind": kind, "path": path, "times": times, "seconds": seconds})

    def heal(self) -> None:
        """Cancel all planned faults."""
        self._ask("DELETE", "/engine/faults")

    def authenticate(self, intent: str, *, successful: bool = True) -> None:
        """Act as the cardholder in their bank's app."""
        self._ask("POST", f"/engine/authenticate/{intent}?successful={str(successful).lower()}")

    def confirm(self, intent: str, client_secret: str, card: str = "pm_card_visa") -> None:
        """Act as Stripe.js in the cardholder's browser."""
        self._ask("POST", f"/engine/confirm/{intent}?client_secret={client_secret}&payment_method={card}")

    def end_refund(self, refund: str, *, successful: bool = True) -> None:
        """Act as the bank that carries out a pending refund, or refuses it."""
        self._ask("POST", f"/engine/refund/{refund}?successful={str(successful).lower()}")

    def lapse(self, intent: str) -> None:
        """Act as the bank that lets a held amount go."""
        self._ask("POST", f"/engine/lapse/{intent}")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)  # noqa: S310 -- our own process
        with self._open(request, timeout=TIMEOUT) as answer:
            text = answer.read()
        return json.loads(text) if text else None


class Engine(Control):
    """A running provider, which ends with the process that started it.

    Attributes:
        key: the secret API key.
        secret: the secret that signs its webhooks.
    """

    key, secret = KEY, SECRET

    def __init__(self, data: Path, port: int = 0, webhook: str = "") -> None:
        """Start on a folder, and wait until it listens.

        Raises:
            RuntimeError: it ended early, or did not listen in time; the message has its output.
        """
        command = [sys.executable, "-m", "infra.local.payments", "--with-stdin", "--port", str(port)]
        with tempfile.NamedTemporaryFile("w+b") as said:
            self.process = subprocess.Popen(
                [*command, "--data", str(data), "--webhook", webhook], stdin=subprocess.PIPE, stderr=said
            )
            super().__init__(self._listening(Path(said.name)))

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self.url.rpartition(":")[2])

    def stop(self) -> int:
        """Ask it to end; the exit code."""
        self.process.terminate()
        return self._ended()

    def kill(self) -> None:
        """End it as a crash does."""
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
                    return f"http://{line.rpartition(' ')[2]}"
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.kill()
                raise RuntimeError(f"The payment provider did not start:\n{text}")
            time.sleep(0.02)


@contextmanager
def running(data: Path, webhook: str = "") -> Iterator[Engine]:
    """A provider on a free port, which runs on this folder until the block ends."""
    engine = Engine(data, webhook=webhook)
    try:
        yield engine
    finally:
        if engine.process.poll() is None:
            engine.stop()
