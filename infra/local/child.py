"""Run a module until it ends or whoever started it is gone: `python -m infra.local.child MODULE [ARGUMENTS]`.

The parent holds the other end of standard input and never writes to it. That end closes when the parent wants the
module to stop, and also when the parent dies, however it dies: the operating system closes it. So nothing outlives a
supervisor that was killed, on Linux, macOS and Windows alike, and the process id is the module's own.
"""

import _thread
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

GRACE = 5.0
"""Seconds that a module has to end in good order before it is killed; interrupted work is done again later."""


def main() -> None:
    """Run the module named by the first argument as `python -m` would, with the arguments after it."""
    parent = os.dup(0)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # the module and what it starts must not read the parent's pipe
    threading.Thread(target=_end_with, args=[parent], name="parent-watch", daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with(parent: int) -> None:
    while os.read(parent, 1):
        pass
    if sys.platform == "win32":
        _thread.interrupt_main(signal.SIGINT)  # os.kill would end the process there and then
    else:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


if __name__ == "__main__":
    main()
