"""Fulfilment: from an order's submission to its confirmation, and what an outage of the payment provider costs others.

`python -m tests.bench.fulfilling` measures an outage of ten minutes, in some fifteen. Orders that are paid by card are
made and submitted at a steady rate: a minute before the outage, through it, and a minute after it. The provider does
not refuse but is silent, which is worse: each call of it lasts its whole time-out. The times are the clients', and for
the confirmation those of the events.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import aiohttp
import psutil

from infra.local.payments.running import Control
from tests.bench.load import send, session
from tests.bench.services import ADDRESS, PATIENT, Service
from tests.support.stack import Stack, running_stack

CARD = {"payment": {"token": "pm_card_visa"}}
BESIDE = 60.0
"""Seconds before the outage, and after it."""
PAUSE = 0.5
AT_ONCE = 4
"""Requests of those who ask how orders stand."""
SETTLES_WITHIN = 1_800.0


class Times(NamedTuple):
    """When an order was submitted, and when it was confirmed."""

    submitted: datetime
    confirmed: datetime

    @property
    def between(self) -> float:
        """Seconds."""
        return (self.confirmed - self.submitted).total_seconds()


@dataclass
class Phase:
    """Some of the time, and what clients met in it.

    Attributes:
        taken: seconds of each request, by kind.
        orders: ids of the orders that were submitted, with their customers'.
        memory: MiB of the host and its worker at the phase's end.
    """

    name: str
    taken: dict[str, list[float]] = field(default_factory=lambda: {"create": [], "submit": [], "read": []})
    orders: list[tuple[str, str]] = field(default_factory=list)
    memory: float = 0.0

    def __str__(self) -> str:
        """Tell it in a line."""
        times = [f"{kind} {_p(taken, 0.5)} / {_p(taken, 0.99)}" for kind, taken in self.taken.items()]
        return f"{self.name}: {len(self.orders)} orders, {', '.join(times)} ms (p50 / p99), {self.memory:.0f} MiB"


class Bench:
    """Clients of one stack."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self._stack, self._http = stack, http
        self._service = Service(f"{stack.base_url}/api", has_read_models=True, headers=stack.authorized, lines=1)

    async def phase(self, name: str, seconds: float, rate: float) -> Phase:
        """Let orders come at a steady rate; whoever comes does not wait for those before."""
        phase, begin = Phase(name), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(seconds * rate)):
                await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
                group.create_task(self._buy(phase, number))
        phase.memory = self._memory()
        print(phase, flush=True)  # noqa: T201
        return phase

    async def confirmed(self, phase: Phase) -> list[Times]:
        """Wait until all orders of a phase are confirmed, and tell when each was."""
        waiting, found = iter(phase.orders), list[Times]()

        async def one_by_one() -> None:
            for order_id, customer_id in waiting:
                url = f"{self._service.base_url}/orders/{order_id}"
                while (await self._get(f"{url}?customerId={customer_id}"))["status"] != "Confirmed":  # noqa: ASYNC110  # over HTTP
                    await asyncio.sleep(PAUSE)
                events = (await self._get(f"{url}/history"))["events"]
                at = {each["type"].split("V")[0]: datetime.fromisoformat(each["occurredAt"]) for each in events}
                found.append(Times(at["OrderSubmitted"], at["OrderConfirmed"]))

        async with asyncio.timeout(SETTLES_WITHIN):
            await asyncio.gather(*(one_by_one() for _ in range(AT_ONCE)))
        return found

    async def open(self) -> None:
        """Have customers and products, of which there is enough."""
        await self._service.open()

    async def _buy(self, phase: Phase, number: int) -> None:
        service, order_id = self._service, str(uuid4())
        customer_id, product_id = (of[number % len(of)] for of in (service.customers, service.products))
        order = {
            "orderId": order_id,
            "customerId": customer_id,
            "items": [{"productId": product_id, "quantity": 1}],
            "shippingAddress": ADDRESS,
        }
        url = f"{service.base_url}/orders"
        await self._timed(phase, "create", send(self._http, "POST", url, service.headers, order))
        url += f"/{order_id}"
        await self._timed(phase, "submit", send(self._http, "POST", f"{url}/submit", service.headers, CARD))
        phase.orders.append((order_id, customer_id))
        await self._get(f"{url}?customerId={customer_id}&minVersion=2")
        await self._timed(phase, "read", self._get(f"{url}?customerId={customer_id}"))

    async def _get(self, url: str) -> Any:
        return json.loads(await send(self._http, "GET", url, {**self._service.headers, **PATIENT}))

    @staticmethod
    async def _timed(phase: Phase, kind: str, request: Awaitable[object]) -> None:
        begin = time.perf_counter()
        await request
        phase.taken[kind].append(time.perf_counter() - begin)

    def _memory(self) -> float:
        host = psutil.Process(self._stack.pids["host"])
        resident: int = sum(each.memory_info().rss for each in (host, *host.children(recursive=True)))
        return resident / 2**20


def _p(seconds: Sequence[float], part: float) -> str:
    ordered = sorted(seconds)
    return f"{1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))]:.0f}" if ordered else "-"


async def measure(outage: float, rate: float) -> None:
    """Measure and print."""
    with running_stack() as stack:
        async with session(0) as http:
            bench = Bench(stack, http)
            await bench.open()
            before = await bench.phase("before the outage", BESIDE, rate)
            _tell("its orders", await bench.confirmed(before))
            os.kill(stack.pids["payments"], signal.SIGSTOP)
            try:
                during = await bench.phase(f"an outage of {outage:.0f} s", outage, rate)
            finally:
                os.kill(stack.pids["payments"], signal.SIGCONT)
            back = datetime.now(UTC)
            after = await bench.phase("after it", BESIDE, rate)
            last = max(each.confirmed for each in await bench.confirmed(during))
            print(f"the last order of the outage was confirmed {(last - back).total_seconds():.1f} s after it")  # noqa: T201
            _tell("those of after it", await bench.confirmed(after))
            moved = Counter(each["metadata"]["payment"] for each in Control(stack.settings["STRIPE_API"]).movements())
            orders = [order_id for phase in (before, during, after) for order_id, _ in phase.orders]
            once = sum(moved[each] == 1 for each in orders)
            print(f"of {len(orders)} orders {once} were authorised once")  # noqa: T201


def _tell(whose: str, times: Sequence[Times]) -> None:
    between = [each.between for each in times]
    print(f"{whose}: confirmed {_p(between, 0.5)} / {_p(between, 0.99)} ms after their submission", flush=True)  # noqa: T201


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fulfilling", description=__doc__)
    parser.add_argument("--outage", type=float, default=600.0, help="seconds (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=1.0, help="orders a second (default: %(default)s)")
    options = parser.parse_args()
    asyncio.run(measure(options.outage, options.rate))
    return 0


if __name__ == "__main__":
    sys.exit(main())
