"""A program that will not end when it is asked to: it says that it has begun, and stays."""

import signal
import sys
import threading

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdout.write("x" * (2**20 + 1) + "\n")  # more than a line of a log may have
    print("begun")  # noqa: T201 -- what the test waits for
    threading.Event().wait()
