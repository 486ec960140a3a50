"""What a developer does in a terminal: `python3 dev.py up`, reads, and presses Ctrl-C or closes the window."""

import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from infra.local import stack as running
from tests.support.stack import ROOT, STARTS_WITHIN

IN_THIS_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
for number in (signal.SIGHUP, signal.SIGINT):  # a login shell ignores neither, but nohup and background jobs do
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A window with a command in it."""

    def __init__(self, *command: str) -> None:
        self._screen, inside = pty.openpty()
        self.command = subprocess.Popen(
            [sys.executable, "-c", IN_THIS_TERMINAL, *command],
            cwd=ROOT,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(inside)

    def read_until(self, text: str) -> str:
        """What the screen shows up to and with the line that has this text in it."""
        shown = ""
        for chunk in self._chunks():
            shown += chunk
            if text in shown and shown.endswith("\n"):
                return shown
        raise AssertionError(f"{text!r} did not appear:\n{shown}")

    def press_ctrl_c(self) -> None:
        """As on a keyboard: the system sends SIGINT to every process of the foreground group."""
        os.write(self._screen, b"\x03")

    def close(self) -> None:
        """Close the window: the system sends SIGHUP."""
        if self._screen >= 0:
            os.close(self._screen)
            self._screen = -1

    def _chunks(self) -> Iterator[str]:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            try:
                yield os.read(self._screen, 65536).decode(errors="replace")
            except OSError:  # the last program has left the terminal
                return


@contextmanager
def window_with_stack(data: Path, until: str = "End everything: Ctrl-C") -> Iterator[tuple[Terminal, running.Stack]]:
    ports = ("--port", "0", "--servicebus-port", "0", "--cosmos-port", "0", "--payments-port", "0")
    with closing(Terminal(sys.executable, "dev.py", "up", "--data", str(data), *ports)) as terminal, terminal.command:
        try:
            terminal.read_until(until)
            stack = running.find(data)
            assert stack is not None
            yield terminal, stack
        finally:
            terminal.command.kill()


def alive(stack: running.Stack) -> list[str]:
    listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True).stdout
    pids = {int(pid) for pid in re.findall(r"\d+", listed)}
    return [name for name, pid in {**stack.pids, "up": stack.pid}.items() if pid in pids]


def test_ctrl_c_in_a_terminal_ends_every_process_in_order(tmp_path: Path) -> None:
    with window_with_stack(tmp_path) as (terminal, stack):
        assert set(alive(stack)) == {"up", "host", "servicebus", "cosmos", "payments"}
        terminal.press_ctrl_c()
        shown = terminal.read_until("all ended")
        assert terminal.command.wait(30) == 0, shown
        assert alive(stack) == []
        assert "Traceback" not in shown
        assert shown.index("host ended") < shown.index("cosmos ended"), "the host needs the engines until it has ended"
        assert "starting it again" not in shown


def test_closing_the_terminal_ends_every_process_even_while_it_starts(tmp_path: Path) -> None:
    with window_with_stack(tmp_path, until="cosmos") as (terminal, stack):
        assert {"up", "servicebus", "cosmos"} <= set(alive(stack))
        terminal.close()
        terminal.command.wait(30)
        assert alive(stack) == []
        assert not (tmp_path / "stack.json").exists()


def test_names_are_coloured_in_a_terminal(tmp_path: Path) -> None:
    terminal = Terminal(sys.executable, "-m", "infra.local.up", "--data", str(tmp_path), "--setting", "SqlConnection=x")
    with closing(terminal), terminal.command:
        assert "\033[33mup " in terminal.read_until("data in")
