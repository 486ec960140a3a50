"""Two deliveries of one event at the same time, interleaved at a chosen place."""

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any


@types.coroutine
def interrupted(
    work: Coroutine[Any, Any, None], at: int, other: Callable[[], Coroutine[Any, Any, None]]
) -> Generator[Any, Any, bool]:
    """Run some work, and other work from beginning to end while it waits for what its await with this number waits for.

    Gives:
        Whether there was such an await.
    """
    number = 0
    try:
        waited_for = work.send(None)
        while True:
            if number == at:
                yield from other().__await__()
            number += 1
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is for the work
                waited_for = work.throw(error)
            else:
                waited_for = work.send(None)
    except StopIteration:
        return number > at
