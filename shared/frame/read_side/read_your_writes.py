"""Read your writes: a query waits for the version that a command answered, so that the caller need not poll.

Waiting is cheap and fair. All queries that wait for one document share the reads of it. A request has one deadline for
all its documents. A caller may take as many waiting places as are left free: the first caller at most half of all
places, the next one half of the rest. A query does not wait for a version that is far beyond the log. When a wait ends
in vain, the log is asked whether the version is there: if it is not, the caller alone is why. A copy of another
context's log is not asked that, for it may itself be late.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.frame.platform.callers import NOBODY, Requester
from shared.frame.platform.input import After
from shared.frame.platform.threads import LOOKING
from shared.frame.read_side.container import Container, stored_document
from shared.kernel.refusals import TooSoon, Unavailable

PAUSES, LONGEST_PAUSE = (0.01, 0.02, 0.04, 0.08, 0.16, 0.25, 0.25, 0.25), 1.0
"""Seconds between two reads: in the first second of a wait, and after that. A read costs 2 request units (ADR 43), and
waits are long exactly when projections lag, perhaps for want of these."""

TIMEOUT = 5.0
"""Seconds that a query gives the store for one answer. Cosmos DB's SDK would retry for minutes, which suits
projections; a caller gets a 503 instead, and tries again."""

WAITING_AT_ONCE = 64
"""Queries of one process that may wait: half of the requests that host.json admits, so that the others find room."""

FAR = 100
"""Versions ahead of a document. For a version further ahead, the query asks the log. If the version is as far ahead of
the log too, no command has answered it, and it will not come while the query waits."""

ASKED_AGAIN = 1.0
"""Seconds for which queries that wait for the same document share one answer of the log, once it has come."""

type Document = Mapping[str, Any]
type Logged = Callable[[str, str], int]
"""Gives the version that the log has for a document, by its id and partition key; 0 for none. It runs on a thread."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How long one request may wait for read models.

    Attributes:
        until: when the wait ends, on the clock of time.monotonic; 0: the caller granted no time.
        caller: whose waiting places it uses, and whose turns.
        logged: gives the version in the log; None if there is no way to know it.
        asks_a_copy: whether `logged` asks a copy of another context's log, which may be late for everybody.
    """

    until: float
    caller: Requester = NOBODY
    logged: Logged | None = None
    asks_a_copy: bool = False

    @property
    def is_none(self) -> bool:
        """Whether the caller granted no time at all."""
        return self.until == 0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.until - time.monotonic()


NO_WAIT = Wait(until=0.0)


def wait_for(seconds: float, caller: Requester = NOBODY, logged: Logged | None = None) -> Wait:
    """Let a request wait for so many seconds from now; 0 grants no time."""
    return Wait(time.monotonic() + seconds if seconds else 0.0, caller, logged)


async def point_read(container: Container, document_id: str, partition_key: str) -> Document | None:
    """Read one document by id and partition key; None if there is none, TimeoutError if the store takes too long.

    Raises:
        ResourceNotFoundError: the container is missing, not only the document.
    """
    async with asyncio.timeout(TIMEOUT):
        return await stored_document(container, document_id, partition_key)


async def read_at_least(
    container: Container,
    document_id: str,
    partition_key: str,
    version: int | None,
    wait: Wait,
    counter: str = "version",
) -> Document | None:
    """Read a document once it has reached a version; None if there is none and no version was asked for.

    Args:
        container: where it is.
        document_id: its id.
        partition_key: its partition.
        version: the version to wait for; None takes the document as it is.
        wait: how long the request may wait.
        counter: the property that counts the versions.

    Raises:
        TooSoon: the log has not reached the version, or is far from it; or the caller granted no time, or has all of
            their waiting places taken (503 `read-model-behind`).
        Unavailable: the document did not reach a version of the log in time, or too many queries wait (the same).
    """
    document = await point_read(container, document_id, partition_key)
    if version is None or _version(document, counter) >= version:
        return document
    if wait.is_none:
        raise _behind(document, counter, version, TooSoon)
    with _place(wait.caller.id) as has_place:
        if not has_place:
            is_full_of_theirs = _waiting[wait.caller.id] >= WAITING_AT_ONCE // 2
            raise _behind(document, counter, version, TooSoon if is_full_of_theirs else Unavailable)
        with _watched(container, document_id, partition_key) as watch:
            try:
                async with asyncio.timeout(wait.left) as deadline:
                    if wait.logged is not None and version - _version(document, counter) > FAR:
                        logged = await watch.logged(wait.logged)
                        if version - logged > FAR:
                            raise _behind(document, counter, version, TooSoon, logged)
                    while _version(document, counter) < version:
                        document = await watch.look()
            except TimeoutError:
                if not deadline.expired():  # the store's own time-out, not the request's
                    raise
                at_last = None if wait.asks_a_copy else await watch.logged_at_last(wait.logged)
                if at_last is not None and at_last < version:
                    raise _behind(document, counter, version, TooSoon, at_last) from None
                return await _last_look(container, document_id, partition_key, version, counter)
    return document


async def _last_look(
    container: Container, document_id: str, partition_key: str, version: int, counter: str
) -> Document | None:
    """Read a document at the end of a wait, for the look before may be as old as LONGEST_PAUSE."""
    document = await point_read(container, document_id, partition_key)
    if _version(document, counter) < version:  # the projection may be late for everybody
        raise _behind(document, counter, version) from None
    return document


async def wait_for_one(container: Container, partition_key: str, after: After | None, wait: Wait) -> None:
    """Wait for one document that a list or a summary includes; raises as read_at_least."""
    if after is not None:
        await read_at_least(container, str(after.id), partition_key, after.version, wait)


class _Watch:
    """A document that several requests wait for; each read is for all of them."""

    def __init__(self, container: Container, document_id: str, partition_key: str) -> None:
        self.waiting = 0
        self._document = container, document_id, partition_key
        self._pauses = iter(PAUSES)
        self._due = time.monotonic() + PAUSES[0]
        self._sooner = asyncio.Event()
        self._seen = asyncio.get_running_loop().create_future()
        self._asked: tuple[float, asyncio.Task[int]] | None = None
        self._looking = asyncio.create_task(self._look_on())

    def join(self) -> None:
        """Count one more waiting query, and begin again with short pauses between reads."""
        self.waiting += 1
        self._pauses = iter(PAUSES)
        self._due = min(self._due, time.monotonic() + next(self._pauses))
        self._sooner.set()

    def leave(self) -> None:
        """Count one query less; stop reading and asking when no query waits any more."""
        self.waiting -= 1
        if not self.waiting:
            self._looking.cancel()
            if self._asked is not None:
                self._asked[1].cancel()  # a question that waits for a thread then does not begin

    async def look(self) -> Document | None:
        """Give the result of the next read, or raise its error."""
        seen = await asyncio.shield(self._seen)
        if isinstance(seen, Exception):
            raise seen
        document: Document | None = seen
        return document

    async def logged(self, ask: Logged) -> int:
        """Ask the log once for all waiting queries; not again before it has answered, for it may hang."""
        _, document_id, partition_key = self._document
        if self._asked is None or (self._asked[1].done() and self._asked[0] + ASKED_AGAIN < time.monotonic()):
            asking = asyncio.create_task(LOOKING.run(ask, document_id, partition_key))
            self._asked = time.monotonic(), asking
        return await asyncio.shield(self._asked[1])

    async def logged_at_last(self, ask: Logged | None) -> int | None:
        """Ask the log when a wait has ended in vain; None if it cannot be asked, or does not answer soon."""
        if ask is None:
            return None
        try:
            async with asyncio.timeout(ASKED_AGAIN):
                return await self.logged(ask)
        except Exception:  # noqa: BLE001  # the query is refused in any case
            return None

    async def _look_on(self) -> None:
        while True:
            while (left := self._due - time.monotonic()) > 0:
                self._sooner.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._sooner.wait()
            found: Document | Exception | None
            try:
                found = await point_read(*self._document)
            except Exception as error:  # noqa: BLE001  # the queries that wait raise it
                found = error
            self._due = time.monotonic() + next(self._pauses, LONGEST_PAUSE)
            seen, self._seen = self._seen, asyncio.get_running_loop().create_future()
            seen.set_result(found)


_waiting = Counter[UUID | None]()
_watches: dict[tuple[object, ...], _Watch] = {}


@contextmanager
def _place(caller: UUID | None) -> Iterator[bool]:
    """Take a waiting place, if there is one: a caller may have as many as are left free."""
    if _waiting[caller] >= WAITING_AT_ONCE - _waiting.total():
        yield False
        return
    _waiting[caller] += 1
    try:
        yield True
    finally:
        _waiting[caller] -= 1
        if not _waiting[caller]:
            del _waiting[caller]


@contextmanager
def _watched(container: Container, document_id: str, partition_key: str) -> Iterator[_Watch]:
    key = asyncio.get_running_loop(), container.id, partition_key, document_id
    watch = _watches.get(key) or _watches.setdefault(key, _Watch(container, document_id, partition_key))
    watch.join()
    try:
        yield watch
    finally:
        watch.leave()
        if not watch.waiting:
            del _watches[key]


def _version(document: Document | None, counter: str) -> int:
    return int(document[counter]) if document else 0


def _behind(
    document: Document | None,
    counter: str,
    version: int,
    kind: type[Unavailable] = Unavailable,
    logged: int | None = None,
) -> Unavailable:
    detail = f"The read model is at version {_version(document, counter)}; version {version} has not arrived yet."
    if logged is not None:
        detail += f" The log is at version {logged}."
    return kind("read-model-behind", detail)
