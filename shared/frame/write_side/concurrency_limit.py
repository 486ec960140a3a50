"""A limit on concurrent work: as many pieces as the database has connections for.

Work above the limit waits for a few seconds. Then it is refused without having changed anything, and the caller may
send it again. In a longer queue, callers would give up and send their commands again before the first ones had their
turn.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import Context, copy_context
from functools import partial
from uuid import UUID

from shared.frame.platform.callers import Requester
from shared.frame.platform.shares import Shares, overloaded
from shared.frame.sql.engines import POOL_SIZE
from shared.kernel.refusals import TooSoon, Unavailable

AT_ONCE = POOL_SIZE - 4
"""Commands under way in one process; the relay, the projections and the health checks use the other connections."""

MAX_WAIT = 5.0
"""Seconds that a command waits for its turn."""

SHARE = AT_ONCE // 4
"""Pieces of work of one owner that run or wait at a time. Commands on one order follow one another, and each that waits
for the one before it has a turn; so without a share one customer could keep everybody else waiting."""


class ConcurrencyLimit:
    """A limit on the pieces of work that run at once, each on a thread."""

    def __init__(self, at_once: int = AT_ONCE, max_wait: float = MAX_WAIT, kind: str = "commands") -> None:
        self._free = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=kind)
        self._max_wait = max_wait
        self._kind = kind
        self._shares = Shares(SHARE, kind)

    async def take[Result](self, work: Callable[[], Result], owner: UUID | None = None) -> Result:
        """Do the work when it is its turn, in the caller's context.

        Args:
            work: what to do.
            owner: who acts for themselves, and has no more than `SHARE`; None: nobody does.

        Raises:
            TooSoon: the owner's share is used up (503 `overloaded`).
            Unavailable: the work did not have its turn in time; it has not begun (the same).
            Exception: the work failed.
        """
        with ExitStack() as held:
            if owner is not None:
                self._shares.take(owner)
                held.callback(self._shares.give_back, owner)
            return await self._take(work, self._max_wait, held)

    async def _take[Result](self, work: Callable[[], Result], max_wait: float, held: ExitStack) -> Result:
        """Do the work when it is its turn.

        Args:
            work: what to do.
            max_wait: seconds that it waits for its turn.
            held: gives back what the work has been given. It is taken over before the work is given to a thread.
        """
        try:
            async with asyncio.timeout(max_wait):
                await self._free.acquire()
        except TimeoutError:
            raise overloaded(self._kind) from None
        held.callback(self._free.release)
        loop = asyncio.get_running_loop()
        turn = Future[Result]()
        # only when the work has ended, even if its caller is gone: it still has a thread and a connection
        give_back = held.pop_all().close
        turn.add_done_callback(lambda _: loop.call_soon_threadsafe(give_back))
        try:
            self._threads.submit(_do, turn, copy_context(), work)
        except RuntimeError as error:  # no thread can be started, but the work is in the pool's queue
            if turn.cancel():
                raise overloaded(self._kind) from error
        return await asyncio.wrap_future(turn)


def _do[Result](turn: Future[Result], context: Context, work: Callable[[], Result]) -> None:
    if not turn.set_running_or_notify_cancel():
        return  # its caller has gone, or was told that it will not begin
    try:
        turn.set_result(context.run(work))
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is the caller's
        turn.set_exception(error)


class FairConcurrencyLimit(ConcurrencyLimit):
    """A limit under which each caller has a share of the turns, and of the places to wait in.

    An owner has one turn at a time. Any other caller works for many people, and has all turns but one. A caller may
    take as many waiting places as are left free: the first caller half of them, the next one half of the rest, and so
    on. Work that finds no place is refused at once, so that it does not use one of the host's requests.
    """

    def __init__(self, at_once: int, places: int, max_wait: float = MAX_WAIT, kind: str = "commands") -> None:
        super().__init__(at_once, max_wait, kind)
        self._places = places
        self._turns_of_others = max(1, at_once - 1)
        self._here = Counter[UUID | None]()
        self._lines: dict[UUID | None, _Line] = {}

    async def take_for[Result](self, requester: Requester, work: Callable[[], Result]) -> Result:
        """Do the work when it is this caller's turn.

        Args:
            requester: whose share it uses.
            work: what to do.

        Raises:
            TooSoon: the caller has half of the places, or others of their own went before (503 `overloaded`).
            Unavailable: there is no place left, or the caller did not have its turn in time (the same).
            Exception: the work failed.
        """
        caller = requester.id
        if self._here[caller] >= self._places - self._here.total():
            raise overloaded(self._kind, TooSoon if self._here[caller] >= self._places // 2 else Unavailable)
        with ExitStack() as held:
            self._here[caller] += 1
            held.callback(self._leave, caller)
            line = self._lines.setdefault(caller, _Line(1 if requester.is_owner else self._turns_of_others))
            begin = time.monotonic()
            try:
                async with asyncio.timeout(self._max_wait):
                    await line.turns.acquire()
            except TimeoutError:
                # if no turn has come meanwhile, perhaps the database hangs, and nobody else asks it
                raise overloaded(self._kind, TooSoon if line.moved > begin else Unavailable) from None
            held.callback(line.turns.release)
            return await self._take(partial(line.move, work), begin + self._max_wait - time.monotonic(), held)

    def _leave(self, caller: UUID | None) -> None:
        self._here[caller] -= 1
        if not self._here[caller]:
            del self._here[caller], self._lines[caller]


class _Line:
    """The work of one caller that waits for its turns, and when the last turn began."""

    def __init__(self, turns: int) -> None:
        self.turns = asyncio.Semaphore(turns)
        self.moved = 0.0

    def move[Result](self, work: Callable[[], Result]) -> Result:
        """Do the work, whose turn begins now."""
        self.moved = time.monotonic()
        return work()
