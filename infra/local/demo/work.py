"""Many pieces of work, some of them at once."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable

from infra.local.demo.shop import Surprise

type Advance = Callable[[], None]
"""Called after each piece of work."""


async def each(work: Iterable[Coroutine[None, None, None]], at_once: int, advance: Advance) -> list[str]:
    """Do all the work, `at_once` pieces at a time; give the surprises, each of which ends only its own piece."""
    waiting, surprises = iter(work), list[str]()

    async def next_ones() -> None:
        for piece in waiting:
            try:
                await piece
            except Surprise as surprise:
                surprises.append(str(surprise))
            advance()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(next_ones())
    return surprises
