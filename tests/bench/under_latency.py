"""Under latency: how many round trips a caller feels when every store is so many milliseconds away.

What one delay adds to the latency, divided by the delay, is the number of round trips that follow one another. It is as
many with 64 clients as with one, unless clients wait for one another; what a processor is too slow for adds to both
terms alike. Commands do wait from some point on: so many are carried out at once as there are connections for.
"""

import statistics
from collections.abc import Callable

from shared.frame.write_side.concurrency_limit import AT_ONCE
from tests.bench.latency import Delay
from tests.bench.load import Request, ask
from tests.bench.place import Place
from tests.bench.rounds import Spread
from tests.bench.rows import Goal, Row
from tests.bench.services import Service
from tests.bench.sizes import Sizes

SECTION = "3. Under latency (round trips felt: what a delay adds, divided by the delay)"
ROUND_TRIPS = {"query": 1, "command": 2}
"""A point read; a load and a batch (section 2)."""
TOLERANCE = 1.25
"""Timers are late, and threads are woken late, by more of a short delay than of a long one."""


async def measure(place: Place, sizes: Sizes) -> list[Row]:
    """Measure queries and commands at each delay and for each number of clients."""
    service = await place.tandem()
    rows = []
    for kind, make in (("query", service.read), ("command", service.write)):
        for clients in sizes.clients:
            rows += await _measure(kind, make, clients, service, place.delay, sizes)
    return rows


async def _measure(
    kind: str, make: Callable[[int], Request], clients: int, service: Service, delay: Delay, sizes: Sizes
) -> list[Row]:
    taken: dict[float, list[float]] = {seconds: [] for seconds in (0.0, *sizes.delays)}
    share = max(2 * clients, sizes.requests // sizes.rounds)
    for _ in range(sizes.rounds):
        for seconds, medians in taken.items():
            delay.set(seconds)
            outcome = await ask([make(number) for number in range(share)], clients)
            medians.append(statistics.median(outcome.each))
            delay.set(0)
            await service.settle(last=1)
    trips = ROUND_TRIPS[kind] * (max(1, clients / AT_ONCE) if kind == "command" else 1)
    return [
        Row(
            SECTION,
            f"{kind}, {clients} clients, {seconds * 1000:g} ms away",
            Spread.of([(late - soon) / seconds for late, soon in zip(taken[seconds], taken[0.0], strict=True)]),
            "round trips",
            Goal(round(trips * TOLERANCE, 1)),
            f"latency/delay {statistics.median(taken[seconds]) / seconds:.1f}: "
            f"{statistics.median(taken[seconds]) * 1000:.3g} ms, without {statistics.median(taken[0.0]) * 1000:.3g} ms",
        )
        for seconds in sizes.delays
    ]
