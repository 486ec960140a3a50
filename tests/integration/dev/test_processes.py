"""The supervisor keeps programs running, gives up those that cannot run, and ends every one of them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra.local.child import GRACE
from infra.local.ports import LOOPBACK, choose
from infra.local.processes import Program, ProgramFailedError, Running, keep_running, run
from tests.support.processes import is_alive

ROOT = Path(__file__).parents[3]
SETTINGS = dict(os.environ)


class Log:
    """What was said, and a way to wait for a line."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._new = asyncio.Queue[str]()

    def say(self, name: str, line: str) -> None:
        """Take a line, as the terminal does."""
        self.lines.append((name, line))
        self._new.put_nowait(line)

    async def has(self, part: str) -> None:
        """Wait for a line with this in it, among those that were not waited for yet."""
        async with asyncio.timeout(30):
            while part not in await self._new.get():
                pass


def server(name: str = "server") -> Program:
    """A program that listens: the standard library's own web server."""
    port = choose(0, name, "")
    return Program(name, "http.server", (str(port), "--bind", LOOPBACK), port)


@asynccontextmanager
async def started(log: Log, *programs: Program) -> AsyncIterator[list[Running]]:
    async with keep_running(programs, SETTINGS, log.say, lambda _name, _pid: None) as states:
        yield states


async def test_a_killed_program_is_started_again_on_its_port() -> None:
    log = Log()
    async with started(log, server()) as [state]:
        await state.listening()
        killed = state.pid
        os.kill(killed, signal.SIGKILL)
        await log.has("server ended with exit code -9; starting it again")
        async with asyncio.timeout(30):
            await state.listening()
        assert state.pid != killed


async def test_programs_end_with_the_body_and_leave_no_process() -> None:
    async with started(Log(), server("one"), server("other")) as states:
        for state in states:
            await state.listening()
        assert all(is_alive(state.pid) for state in states)
        begin = time.monotonic()
    assert not any(is_alive(state.pid) for state in states)
    assert time.monotonic() - begin < GRACE, "they were not asked to end but made to"


async def test_a_program_that_cannot_start_is_given_up_with_its_last_lines_and_the_others_end() -> None:
    sound, broken = server(), Program("broken", "http.server", ("not-a-port",))
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(30), started(Log(), sound, broken) as states:
            await asyncio.Event().wait()
    assert caught.group_contains(ProgramFailedError, match="broken ended with exit code 2")
    assert "invalid int value: 'not-a-port'" in str(caught.value.exceptions[0])
    assert not is_alive(states[0].pid)


async def test_a_program_that_no_longer_reacts_is_ended() -> None:
    async with started(Log(), server()) as [state]:
        await state.listening()
        os.kill(state.pid, signal.SIGSTOP)
    assert not is_alive(state.pid)


def test_a_program_that_will_not_end_does_not_outlive_who_started_it() -> None:
    command = [sys.executable, "-m", "infra.local.child", "tests.integration.dev.stubborn"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            process.stdin.close()
            process.wait(15)
        finally:
            process.kill()


async def test_a_line_that_is_too_long_is_left_out_and_the_next_one_shown() -> None:
    log = Log()
    await run(Program("long", "tests.integration.dev.long_line"), SETTINGS, log.say)
    assert log.lines == [("long", "(a line of more than 1 MiB is left out)"), ("long", "the next line")]


async def test_a_program_that_runs_once_and_fails_says_so_with_its_lines() -> None:
    with pytest.raises(ProgramFailedError, match=r"(?s)once ended with exit code 2.*not-a-port"):
        await run(Program("once", "http.server", ("not-a-port",)), SETTINGS, Log().say)


async def test_a_program_that_runs_once_ends_when_the_supervisor_is_stopped() -> None:
    program, log = server(), Log()
    once = asyncio.create_task(run(program, SETTINGS, log.say))
    await log.has("Serving HTTP")
    once.cancel()
    await asyncio.wait([once])
    assert choose(program.port, "server", "") == program.port
