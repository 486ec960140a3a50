"""Keep a set of modules running, each in a process of its own, and end them together."""

import asyncio
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

from infra.local.child import GRACE
from infra.local.ports import is_listening

FAST = 5.0
"""Seconds; a process that ended sooner has failed to start."""
FAILURES = 5
"""After so many fast failures in a row the process is given up."""
PAUSES = (0.2, 0.5, 1.0, 2.0)
"""Seconds to wait before the first, second, ... restart in a row."""
POLL = 0.05
"""Seconds between two looks at a port."""

type Say = Callable[[str, str], None]
"""Prints a line of the program with this name."""


@dataclass(frozen=True, slots=True)
class Program:
    """A module to run, as `python -m module arguments`, and the port on which it will listen."""

    name: str
    module: str
    arguments: Sequence[str] = ()
    port: int = 0


class ProgramFailedError(Exception):
    """A program ended unexpectedly, and is not started again."""

    def __init__(self, name: str, code: int, last_lines: Sequence[str]) -> None:
        heading = f"{name} ended with exit code {code}; its last lines:"
        super().__init__("\n    ".join([heading, *last_lines]))


@dataclass(slots=True)
class Running:
    """A started program, as the supervisor sees it: its process id changes when it is restarted."""

    program: Program
    pid: int = 0

    async def listening(self) -> None:
        """Wait until the program accepts connections."""
        while not await asyncio.to_thread(is_listening, self.program.port):  # noqa: ASYNC110 -- a port cannot call back
            await asyncio.sleep(POLL)


async def run(program: Program, settings: Mapping[str, str], say: Say) -> None:
    """Run a program to its end.

    Raises:
        ProgramFailedError: it ended with another exit code than 0.
    """
    last_lines: deque[str] = deque(maxlen=20)
    code = await _run(program, settings, say, last_lines, lambda _pid: None)
    if code != 0:
        raise ProgramFailedError(program.name, code, last_lines)


@asynccontextmanager
async def keep_running(
    programs: Sequence[Program], settings: Mapping[str, str], say: Say, on_start: Callable[[str, int], None]
) -> AsyncIterator[list[Running]]:
    """Keep the programs running while the body runs, then end them.

    Args:
        programs: what to run.
        settings: the environment of the processes.
        say: prints a line of theirs.
        on_start: called with the name and the process id at each start and restart.

    Raises:
        ExceptionGroup: of ProgramFailedError, when a program keeps failing; the body is cancelled and the others ended.
    """
    async with asyncio.TaskGroup() as group:
        states = [Running(program) for program in programs]
        tasks = [group.create_task(_keep_running(state, settings, say, on_start)) for state in states]
        yield states
        for task in tasks:
            task.cancel()


async def _keep_running(
    state: Running, settings: Mapping[str, str], say: Say, on_start: Callable[[str, int], None]
) -> NoReturn:
    name = state.program.name
    last_lines: deque[str] = deque(maxlen=20)

    def started(pid: int) -> None:
        state.pid = pid
        on_start(name, pid)

    failures = 0
    try:
        while True:
            start = time.monotonic()
            code = await _run(state.program, settings, say, last_lines, started)
            failures = failures + 1 if time.monotonic() - start < FAST else 0
            if failures == FAILURES:
                raise ProgramFailedError(name, code, last_lines)
            pause = PAUSES[min(max(failures - 1, 0), len(PAUSES) - 1)]
            say("up", f"{name} ended with exit code {code}; starting it again in {pause} s")
            await asyncio.sleep(pause)
    except asyncio.CancelledError:
        say("up", f"{name} ended")
        raise


async def _run(
    program: Program, settings: Mapping[str, str], say: Say, last_lines: deque[str], on_start: Callable[[int], None]
) -> int:
    last_lines.clear()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.local.child", program.module, *program.arguments),
        stdin=asyncio.subprocess.PIPE,  # infra.local.child ends with it
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**settings, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"},
        start_new_session=True,  # Ctrl-C is for the supervisor alone: it ends the others in order ...
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # ... on Windows too
        limit=2**20,
    )
    try:
        on_start(process.pid)
        await _show(process, program.name, say, last_lines)
        return await process.wait()
    finally:
        await _end(process, program.name, say, last_lines)


async def _show(process: asyncio.subprocess.Process, name: str, say: Say, last_lines: deque[str]) -> None:
    assert process.stdout is not None  # noqa: S101 -- asked for above; the type cannot say so
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:
            line = b"(a line of more than 1 MiB is left out)\n"
        if not line:
            return
        text = line.decode(errors="replace").rstrip()
        last_lines.append(text)
        say(name, text)


async def _end(process: asyncio.subprocess.Process, name: str, say: Say, last_lines: deque[str]) -> None:
    assert process.stdin is not None  # noqa: S101 -- asked for above; the type cannot say so
    process.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE + 1):
            await _show(process, name, say, last_lines)
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
