"""Against a plain CRUD service, which is what a user would write instead, on the same work at the same store latency.

A write makes an order of ten lines, a read shows one. Tandem's time runs until what was written is in the read models.
"""

import random
import time
from collections import Counter

from tests.bench.load import ask
from tests.bench.place import Place
from tests.bench.processors import PARTS, PEER, a_request, taken
from tests.bench.rounds import Spread
from tests.bench.rows import Goal, Row
from tests.bench.services import Service, crud
from tests.bench.sizes import Sizes

SECTION = "4a. Throughput against a CRUD service (FastAPI, SQLAlchemy, SQLite)"
GOALS = {10: Goal(1.8, at_least=True), 50: Goal(1, at_least=True)}
"""By the share of writes in percent."""


async def measure(place: Place, sizes: Sizes) -> list[Row]:
    """Let both serve the same mixes of reads and writes, in turns."""
    delay, clients, rows = place.delay, max(sizes.clients), []
    ours = await place.tandem()
    async with crud(place.folder / "crud", delay) as theirs:
        await theirs.open()
        sides = {"ours": (ours, PARTS), "theirs": (theirs, PEER)}
        for seconds in sizes.peer_delays:
            for writes in sizes.writes:
                throughputs: dict[str, list[float]] = {side: [] for side in sides}
                spent: dict[str, Counter[str]] = {side: Counter() for side in sides}
                for number in range(sizes.peer_rounds):
                    delay.set(seconds)
                    for side, (service, parts) in sides.items():
                        before = taken(parts)
                        throughputs[side].append(
                            await _throughput(service, writes, clients, sizes.peer_requests, number)
                        )
                        spent[side] += taken(parts) - before
                ratios = [a / b for a, b in zip(throughputs["ours"], throughputs["theirs"], strict=True)]
                a_second = " / ".join(f"{Spread.of(each).median:.0f} a second" for each in throughputs.values())
                processors = " / ".join(
                    a_request(each, sizes.peer_rounds * sizes.peer_requests) for each in spent.values()
                )
                rows.append(
                    Row(
                        SECTION,
                        f"{100 - writes}/{writes} reads/writes, {clients} clients, stores {seconds * 1000:g} ms away",
                        Spread.of(ratios),
                        goal=GOALS.get(writes),
                        context=f"{a_second}; a request takes a processor {processors}",
                    )
                )
    return rows


async def _throughput(service: Service, writes: int, clients: int, count: int, seed: int) -> float:
    chance = random.Random(seed)
    requests = [(service.write if chance.random() * 100 < writes else service.read)(number) for number in range(count)]
    written = len(service.orders)
    outcome = await ask(requests, clients)
    begin = time.perf_counter()
    if new := len(service.orders) - written:
        await service.settle(last=min(new, clients))
    return count / (outcome.seconds + time.perf_counter() - begin)
