"""Invocations of functions by the Functions host, by which it knows whose a line of the log is."""

from collections.abc import Callable

import azure.functions as func


def in_invocation[Result](context: func.Context, work: Callable[[], Result]) -> Callable[[], Result]:
    """Tie what is logged on the thread that does the work to the invocation, for as long as that takes."""

    def tied() -> Result:
        logs_of = context.thread_local_storage
        logs_of.invocation_id = context.invocation_id  # type: ignore[attr-defined]  # it takes any name
        try:
            return work()
        finally:
            logs_of.invocation_id = None  # type: ignore[attr-defined]  # other work uses the thread next

    return tied
