"""The worker as a process of its own, and its replacement when it ends or a function takes too long.

As measured on the real host: a worker's exit fails every call in flight, and a new worker is there half a second later.
At functionTimeout the call fails and the process is replaced; other calls in the old one have ten seconds to end.
"""

import asyncio
import itertools
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from infra.local.host.rpc import LENGTH, Answer, Call, Function, FunctionFailed, Metadata, WorkerError, framed, unframed

log = logging.getLogger("host.worker")

ROOT = Path(__file__).parents[3]
MODULE = "infra.local.host.worker_process"
NEXT_ONE = 0.5
"""Seconds from the end of a worker until the next one is started; twice that after each that does not load."""
LONGEST_PAUSE = 10.0
OTHERS_MAY_END = 10.0
"""Seconds for the other calls in a worker that is replaced."""
_LEAVES_WITHIN = 3.0
"""Seconds that a worker gets to end when it is stopped."""
_BUFFER = 2**20
"""Bytes of answers that are read ahead."""


class Process:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin and process.stdout  # noqa: S101, PT018 -- for the type checker: both are pipes
        self._process, self._requests, self._answers = process, process.stdin, process.stdout
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()

    @classmethod
    async def start(cls, module: str, app_dir: Path, level: str) -> tuple["Process", list[Function]]:
        """Start a process and wait until the app is loaded.

        Raises:
            SettingsError: The app cannot be run as it is configured.
            WorkerError: It does not load.
        """
        process = cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, str(app_dir), level),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
                limit=_BUFFER,
            )
        )
        try:
            said = await process._read()
        except asyncio.IncompleteReadError:
            raise WorkerError(f"the worker ended with exit code {await process._process.wait()}") from None
        except BaseException:
            process.kill()
            raise
        if isinstance(said, Exception):
            raise said
        return process, said

    @property
    def busy(self) -> bool:
        """Some call is in flight."""
        return bool(self._pending)

    async def call(self, **fields: Any) -> Any:
        """Call a function and wait for its value.

        Raises:
            FunctionFailed: It raised, or the process has ended.
        """
        number = next(self._numbers)
        future = self._pending[number] = asyncio.get_running_loop().create_future()
        try:
            self._requests.write(framed(Call(number, **fields)))
            return await future
        finally:
            self._pending.pop(number, None)

    async def answers(self) -> int:
        """Receive answers until the process ends, and give its exit code; calls in flight have then failed."""
        while True:
            try:
                answer: Answer = await self._read()
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            future = self._pending.get(answer.number)
            if future is None or future.done():
                continue  # no caller waits for it any more
            if answer.failure is None:
                future.set_result(answer.value)
            else:
                future.set_exception(FunctionFailed(*answer.failure))
        code = await self._process.wait()
        story = f"the worker ended with exit code {code} while the function ran"
        for future in self._pending.values():
            if not future.done():
                future.set_exception(FunctionFailed(story, story))
        return code

    async def idle(self, patience: float) -> None:
        """Wait for calls in flight, no longer than so many seconds."""
        if self._pending:
            await asyncio.wait(self._pending.values(), timeout=patience)

    async def retire(self, patience: float) -> None:
        """Wait for calls in flight, no longer than so many seconds, and end the process."""
        await self.idle(patience)
        self._requests.close()
        try:
            async with asyncio.timeout(_LEAVES_WITHIN):
                await self._process.wait()
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self._process.returncode is None:
            self._process.kill()

    async def _read(self) -> Any:
        (length,) = LENGTH.unpack(await self._answers.readexactly(LENGTH.size))
        return unframed(await self._answers.readexactly(length))


class Worker:
    """The present worker process, whichever it is."""

    def __init__(self, app_dir: Path, level: str, function_timeout: timedelta | None, module: str = MODULE) -> None:
        self._app_dir, self._level, self._module = app_dir, level, module
        self._timeout = function_timeout
        self._process: Process | None = None
        self._ready = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def start(self) -> list[Function]:
        """Start the first process; the app's functions.

        Raises:
            SettingsError: The app cannot be run as it is configured.
            WorkerError: It does not load.
        """
        process, functions = await Process.start(self._module, self._app_dir, self._level)
        self._take(process)
        return functions

    async def invoke(
        self,
        function: Function,
        data: Any,
        *,
        metadata: Metadata | None = None,
        traceparent: str = "",
        tracestate: str = "",
    ) -> Any:
        """Run a function once; see `rpc.Invoke`. While there is no worker, it waits for the next one.

        Raises:
            FunctionFailed: It raised, took longer than functionTimeout, or its worker ended.
        """
        await self._ready.wait()
        process = self._process
        assert process is not None  # noqa: S101 -- for the type checker: that is what ready means
        limit = None if self._timeout is None else self._timeout.total_seconds()
        try:
            async with asyncio.timeout(limit):
                return await process.call(
                    function=function.name,
                    data=data,
                    metadata=metadata or {},
                    traceparent=traceparent,
                    tracestate=tracestate,
                )
        except TimeoutError:
            self._replace(process)
            story = f"timeout value of {self._timeout} was exceeded by function {function.name}"
            raise FunctionFailed(story, story) from None

    async def stop(self, patience: timedelta) -> bool:
        """End the process once its calls have ended, or the patience has; False if it had to cut some off."""
        self._stopping = True
        in_time = True
        if self._process is not None:
            await self._process.idle(patience.total_seconds())
            in_time = not self._process.busy
            await self._process.retire(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return in_time

    def _take(self, process: Process) -> None:
        self._process = process
        self._ready.set()
        self._spawn(self._watch(process))

    async def _watch(self, process: Process) -> None:
        code = await process.answers()
        if self._process is process and not self._stopping:
            log.error("the worker ended with exit code %s; another one is started", code)
            self._replace(process)

    def _replace(self, process: Process) -> None:
        if self._process is not process or self._stopping:
            return  # another call was first
        self._process = None
        self._ready.clear()
        self._spawn(process.retire(OTHERS_MAY_END))
        self._spawn(self._start_again())

    async def _start_again(self) -> None:
        pause = NEXT_ONE
        while True:
            await asyncio.sleep(pause)
            try:
                process, _ = await Process.start(self._module, self._app_dir, self._level)
            except Exception as error:  # noqa: BLE001 -- whatever keeps it from loading may be mended meanwhile
                pause = min(2 * pause, LONGEST_PAUSE)
                log.error("the app failed to load again: %s", error)  # noqa: TRY400 -- the text is the traceback
            else:
                self._take(process)
                return

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
