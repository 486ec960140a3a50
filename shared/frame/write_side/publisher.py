"""Publishes right after a commit, off the request's path; the timer's relay sends what the publisher misses."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from shared.frame.write_side.relay import TopicUnreachable

logger = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between tries while Service Bus or the database does not answer."""


class Publisher:
    """A thread that runs a relay whenever a commit wakes it; commits that come meanwhile share the next run.

    It only makes publishing prompt. Nothing is lost when it dies: the outbox holds what is unpublished.
    """

    def __init__(self, relay: Callable[[], timedelta | None], name: str) -> None:
        """Prepare; the first commit starts the thread.

        Args:
            relay: publishes, and gives the time after which it is to run again without a commit; None: it need not.
            Each such run that is followed by another one doubles the time: an event that can never be sent would
            otherwise keep a database awake that pauses when nobody uses it.
            name: the context's.
        """
        self._relay = relay
        self._name = name
        self._woken = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Tell the publisher that something was committed; returns at once, and never fails what was committed."""
        self._woken.set()
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._start()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=f"publisher-{self._name}", daemon=True)
        try:
            thread.start()
        except Exception:  # the system has no thread to spare; the next commit tries again
            logger.warning("%s: publishing waits for a thread", self._name, exc_info=True)
        else:
            self._thread = thread

    def _run(self) -> None:
        failing, pause = False, None
        while True:
            woken = self._woken.wait(None if pause is None else pause.total_seconds())
            self._woken.clear()
            try:
                again_in = self._relay()
                pause = again_in if woken or pause is None or again_in is None else max(again_in, 2 * pause)
                failing = False
            except Exception as error:
                if not failing:
                    # log once for an outage, not once for each commit
                    known = isinstance(error, TopicUnreachable)
                    logger.warning("%s: publishing waits: %s", self._name, error, exc_info=not known)
                failing = True
                time.sleep(PAUSE)
                self._woken.set()
