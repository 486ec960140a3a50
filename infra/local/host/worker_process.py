"""The worker's process: the function app, called by the host over standard input, answering on standard output.

``python -m infra.local.host.worker_process APP LEVEL``. First it says which functions there are, or why it cannot; then
it answers each call. It ends when its input does, so it never outlives the host, however that ended.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import uvicorn.loops.auto

from infra.local.host import worker
from infra.local.host.rpc import LENGTH, Answer, Call, Function, FunctionFailed, WorkerError, framed, unframed
from infra.local.host.settings import SettingsError

_LAST_WORDS = 2.0
"""Seconds that are left for good order, once the host is gone, before the process ends anyway."""


async def serve(app_dir: Path, requests: int, answers: int) -> None:
    """Load the app and answer calls until there are no more; the numbers are file descriptors."""
    try:
        functions = await worker.load(app_dir)
    except (SettingsError, WorkerError) as error:
        _write(answers, error)
        return
    _write(answers, functions)
    by_name = {function.name: function for function in functions}
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    running: set[asyncio.Task[None]] = set()

    def take(call: Call) -> None:
        task = asyncio.create_task(_answer(by_name[call.function], call, answers))
        running.add(task)
        task.add_done_callback(running.discard)

    def read() -> None:
        with os.fdopen(requests, "rb") as stream:
            while len(head := stream.read(LENGTH.size)) == LENGTH.size:
                loop.call_soon_threadsafe(take, unframed(stream.read(*LENGTH.unpack(head))))
        loop.call_soon_threadsafe(ended.set)
        time.sleep(_LAST_WORDS)
        os._exit(0)

    threading.Thread(target=read, name="host", daemon=True).start()  # a loop cannot wait for a pipe on Windows
    await ended.wait()


async def _answer(function: Function, call: Call, answers: int) -> None:
    try:
        value = await worker.invoke(
            function,
            call.data,
            invocation_id=call.invocation_id,
            metadata=call.metadata,
            traceparent=call.traceparent,
            tracestate=call.tracestate,
        )
        answer = Answer(call.number, value)
    except FunctionFailed as failure:
        answer = Answer(call.number, failure=(str(failure), failure.summary))
    _write(answers, answer)


def _write(answers: int, said: object) -> None:
    """Write at once: the host always reads."""
    frame = memoryview(framed(said))
    while frame:
        frame = frame[os.write(answers, frame) :]


def main() -> int:
    """Parse the command line and run."""
    app_dir, level = sys.argv[1:]
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)  # the worker library logs every invocation at INFO
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a whole group; the host says when to end
        signal.signal(number, lambda *_: None)
    requests, answers = os.dup(0), os.dup(1)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # the output of functions goes to the log
    with asyncio.Runner(loop_factory=uvicorn.loops.auto.auto_loop_factory()) as runner:
        runner.run(serve(Path(app_dir), requests, answers))
    # a worker never tells its app to close clients; what asyncio says of those that are still open helps nobody
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    if not worker.stop(limit=_LAST_WORDS / 2):
        logging.shutdown()
        os._exit(0)  # a thread cannot be ended, and Python would wait for it
    return 0


if __name__ == "__main__":
    sys.exit(main())
