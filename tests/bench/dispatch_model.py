"""Dispatch in virtual time: what the real host's rules alone allow one instance, whatever machine this is.

`python -m tests.bench.dispatch_model` prints the table of ADR 21. The rules were measured on the real host and read in
its source: a slot holds its session until that was idle for sessionIdleTimeout, and min(slots, 2 x cores) sessions are
accepted at a time. What is not in it: processors. An instance of one core that spends a millisecond on an event takes a
thousand of them a second at most.
"""

import heapq
import random
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import count
from typing import NamedTuple
from uuid import UUID

ACCEPTS = 4
"""Sessions accepted at a time: 2 x cores, on two."""
ACCEPT = 0.011
"""Seconds for one; with it the model takes the times that were measured on the real host. Azure is further away."""
STORE, JITTER = 0.010, 0.005
"""Seconds of work on an event at least, and what comes on top on average."""
GAP = 2.0
"""Seconds between two events of an order, on average."""
EVENTS = 3
"""Of one order."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """A way to group events.

    Attributes:
        sessions: how many there are; None: one for each aggregate; 0: none at all.
        slots: maxConcurrentSessions or maxConcurrentCalls.
        idle: sessionIdleTimeout in seconds.
    """

    name: str
    sessions: int | None
    slots: int
    idle: float = 1.0

    def session_of(self, aggregate_id: UUID) -> str:
        """Name the session of an aggregate's events."""
        if self.sessions is None:
            return str(aggregate_id)
        return str(int.from_bytes(blake2b(aggregate_id.bytes, digest_size=4).digest()) % max(1, self.sessions))


GROUPINGS = (
    Grouping("a session for each aggregate, idle 1 s", None, 128, 1.0),
    Grouping("a session for each aggregate, idle 0.2 s", None, 128, 0.2),
    Grouping("a session for each aggregate, idle 0.05 s", None, 128, 0.05),
    Grouping("128 sessions by hash, idle 1 s", 128, 128, 1.0),
    Grouping("32 sessions by hash, idle 1 s", 32, 32, 1.0),
    Grouping("no sessions, 16 calls", 0, 16),
    Grouping("no sessions, 64 calls", 0, 64),
)


class Arrival(NamedTuple):
    """An event that reaches the subscription."""

    at: float
    session: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        lags: seconds from arrival to done.
        ended: when the last event was done.
        accepts: of sessions.
        overtaken: events that began while another of their aggregate was at hand; without sessions only.
    """

    lags: Sequence[float]
    ended: float
    accepts: int
    overtaken: int

    def lag(self, part: float) -> float:
        """A quantile of the lags."""
        ordered = sorted(self.lags)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class Instance:
    """One instance of the app, on one subscription."""

    def __init__(self, grouping: Grouping, store: float = STORE, jitter: float = JITTER, seed: int = 1) -> None:
        self._grouping, self._store, self._jitter = grouping, store, jitter
        self._chance = random.Random(seed)
        self._now, self._order = 0.0, count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._free, self._accepting, self._accepts, self._overtaken = grouping.slots, 0, 0, 0
        self._waiting: deque[str] = deque()
        """Sessions with messages that nobody has; without sessions, messages."""
        self._messages: defaultdict[str, deque[Arrival]] = defaultdict(deque)
        self._held: dict[str, int] = {}
        """How often a session at hand has begun to be idle; -1 while it is not."""
        self._idled = count()
        self._at_hand: defaultdict[str, int] = defaultdict(int)
        self._lags: list[float] = []

    def take(self, arrivals: Iterable[Arrival]) -> Outcome:
        """Handle all events."""
        for arrival in arrivals:
            self._after(arrival.at, partial(self._arrive, arrival))
        while self._due:
            self._now, _, step = heapq.heappop(self._due)
            step()
        return Outcome(self._lags, self._now, self._accepts, self._overtaken)

    def _after(self, seconds: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self._now + seconds, next(self._order), step))

    def _work(self) -> float:
        return self._store + (self._chance.expovariate(1 / self._jitter) if self._jitter else 0.0)

    def _arrive(self, arrival: Arrival) -> None:
        session = arrival.session
        self._messages[session].append(arrival)
        if self._grouping.sessions == 0:
            self._waiting.append(session)
            self._call()
        elif session not in self._held:
            if len(self._messages[session]) == 1:
                self._waiting.append(session)
            self._accept()
        elif self._held[session] >= 0:
            self._handle(session)

    def _call(self) -> None:
        """Without sessions: take messages while there are calls left."""
        while self._free and self._waiting:
            session = self._waiting.popleft()
            arrival = self._messages[session].popleft()
            self._free -= 1
            self._overtaken += self._at_hand[session] > 0
            self._at_hand[session] += 1
            self._after(self._work(), partial(self._called, arrival))

    def _called(self, arrival: Arrival) -> None:
        self._lags.append(self._now - arrival.at)
        self._at_hand[arrival.session] -= 1
        self._free += 1
        self._call()

    def _accept(self) -> None:
        """Accept sessions while there are slots left, so many at a time."""
        while self._free and self._accepting < ACCEPTS and self._waiting:
            session = self._waiting.popleft()
            self._held[session] = -1
            self._free -= 1
            self._accepting += 1
            self._accepts += 1
            self._after(ACCEPT, partial(self._accepted, session))

    def _accepted(self, session: str) -> None:
        self._accepting -= 1
        self._handle(session)
        self._accept()

    def _handle(self, session: str) -> None:
        """Handle a session's next message; if there is none, be idle for as long as that may take."""
        if self._messages[session]:
            self._held[session] = -1
            arrival = self._messages[session].popleft()
            self._after(self._work(), lambda: self._handled(arrival))
        else:
            number = self._held[session] = next(self._idled)
            self._after(self._grouping.idle, lambda: self._release(session, number))

    def _handled(self, arrival: Arrival) -> None:
        self._lags.append(self._now - arrival.at)
        self._handle(arrival.session)

    def _release(self, session: str, number: int) -> None:
        if self._held.get(session) == number:
            del self._held[session]
            self._free += 1
            self._accept()


def orders(grouping: Grouping, rate: float, seconds: float, seed: int) -> list[Arrival]:
    """Orders of some events each, which come at random; so many events a second."""
    chance, begun, arrivals = random.Random(seed), 0.0, []
    while begun < seconds:
        begun += chance.expovariate(rate / EVENTS)
        session, at = grouping.session_of(UUID(int=chance.getrandbits(128))), begun
        for _ in range(EVENTS):
            arrivals.append(Arrival(at, session))
            at += chance.expovariate(1 / GAP)
    return sorted(arrivals)


def saturation(grouping: Grouping) -> float:
    """The rate up to which 99 of 100 events wait less than a second."""
    low, high = 10.0, 12_000.0
    while high / low > 1.05:  # as near as a table needs
        rate = (low * high) ** 0.5
        keeps_up = Instance(grouping).take(orders(grouping, rate, 10, seed=7)).lag(0.99) < 1
        low, high = (rate, high) if keeps_up else (low, rate)
    return low


def main() -> int:
    """Print the table."""
    print("| grouping | events/s | lag p50/p99 in ms at 10 % | 50 % | 90 % | accepts per event | at 1,000/s |")  # noqa: T201
    print("|---|---|---|---|---|---|---|")  # noqa: T201
    for grouping in GROUPINGS:
        rate = saturation(grouping)
        cells = [grouping.name, f"{rate:,.0f}"]
        for share in (0.1, 0.5, 0.9):
            outcome = Instance(grouping).take(orders(grouping, rate * share, 15, seed=9))
            cells.append(f"{outcome.lag(0.5) * 1000:.0f} / {outcome.lag(0.99) * 1000:.0f}")
        cells.append(f"{outcome.accepts / len(outcome.lags):.2f}")
        outcome = Instance(grouping).take(orders(grouping, 1_000, 20, seed=9))
        cells.append(f"{outcome.lag(0.5) * 1000:,.0f} / {outcome.lag(0.99) * 1000:,.0f}")
        print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
