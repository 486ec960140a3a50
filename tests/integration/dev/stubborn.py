"""A program that will not end when it is asked to: it says that it has begun, and stays."""

import signal
import threading

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("begun", flush=True)  # noqa: T201 -- what the test waits for
    threading.Event().wait()
