"""Publishes right after a commit, off the request's path; the timer's relay sends what the publisher misses."""

import logging
import threading
import time
from collections.abc import Callable

from shared.frame.write_side.relay import TopicUnreachable

logger = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between tries while Service Bus or the database does not answer."""


class Publisher:
    """A thread that runs a relay whenever a commit wakes it; commits that come meanwhile share the next run.

    It only makes publishing prompt. Nothing is lost when it dies: the outbox holds what is unpublished.
    """

    def __init__(self, relay: Callable[[], int], name: str) -> None:
        self._relay = relay
        self._name = name
        self._woken = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Tell the publisher that something was committed; returns at once."""
        self._woken.set()
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=f"publisher-{self._name}", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        failing = False
        while True:
            self._woken.wait()
            self._woken.clear()
            try:
                self._relay()
                failing = False
            except Exception as error:
                if not failing:
                    # log once for an outage, not once for each commit
                    known = isinstance(error, TopicUnreachable)
                    logger.warning("%s: publishing waits: %s", self._name, error, exc_info=not known)
                failing = True
                time.sleep(PAUSE)
                self._woken.set()
