"""Lag: from a command's answer until the projection writes the change, at shares of the rate that is too much.

Documents note when each of their versions was written, which an order's history tells; the clock is the same that takes
the time of the answers. The rate that is too much is the one at which 16 clients who never pause get orders made and
shown.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from datetime import datetime

import aiohttp

from tests.bench.load import TurnedAway, ask, send, session
from tests.bench.place import Place
from tests.bench.rounds import Spread
from tests.bench.rows import Row
from tests.bench.services import Made, Service
from tests.bench.sizes import Sizes

SECTION = "6. Lag (from a command's answer to its change in the read model, over the command's own time)"
CLIENTS = 16
SHARES = (10, 50, 80)
SAMPLES = 400
"""Orders whose history is asked for, of those of one share."""


async def measure(place: Place, sizes: Sizes) -> list[Row]:
    """Find the saturation rate, then measure the lag below it."""
    service = await place.tandem()
    rate = await _saturation(service, sizes)
    rows = [Row(SECTION, "saturation", Spread.exactly(rate), "orders a second")]
    for share in SHARES:
        rows += await _at(service, rate, share, sizes)
    return rows


async def _saturation(service: Service, sizes: Sizes) -> float:
    count = max(sizes.requests, CLIENTS)
    begin = time.perf_counter()
    await ask([service.write(number) for number in range(count)], CLIENTS)
    await service.settle(last=CLIENTS)
    return count / (time.perf_counter() - begin)


async def _at(service: Service, rate: float, share: int, sizes: Sizes) -> list[Row]:
    """Make orders at a steady rate, whether or not those before have been answered."""
    pause = 100 / share / rate
    latencies: list[float] = []
    turned_away = 0
    before = len(service.orders)

    async def make(http: aiohttp.ClientSession, number: int) -> None:
        nonlocal turned_away
        begin = time.perf_counter()
        try:
            await service.write(number)(http)
        except TurnedAway:  # who makes orders at a steady rate does not wait for a machine that stumbles
            turned_away += 1
        else:
            latencies.append(time.perf_counter() - begin)

    async with session(0) as http:
        async with asyncio.TaskGroup() as group:
            due = time.perf_counter()
            for number in range(max(2, int(sizes.lag_seconds / pause))):
                group.create_task(make(http, number))
                due += pause
                await asyncio.sleep(due - time.perf_counter())
        made = service.orders[before:]
        await service.settle(last=len(made))
        lags = sorted([await _lag(http, service, each) for each in made[:: 1 + len(made) // SAMPLES]])
    command = statistics.median(latencies)
    of = f"{command * 1000:.0f} ms, {len(lags)} orders" + (f", {turned_away} turned away" if turned_away else "")
    return [
        Row(
            SECTION,
            f"{what} at {share} % of saturation",
            Spread.exactly(time_ / command),
            context=f"{time_ * 1000:.0f} ms / {of}",
        )
        for what, time_ in (
            ("p50", _quantile(lags, 0.5)),
            ("p99", _quantile(lags, 0.99)),
            ("p99 of the command itself", _quantile(sorted(latencies), 0.99)),
        )
    ]


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


async def _lag(http: aiohttp.ClientSession, service: Service, made: Made) -> float:
    """Tell the seconds; a change that was written before the answer had come has none."""
    url = f"{service.base_url}/orders/{made.order_id}/history"
    [event] = json.loads(await send(http, "GET", url, service.headers))["events"]
    return max(0.0, datetime.fromisoformat(event["projectedAt"]).timestamp() - made.answered)
