"""One order with a very long past, read again and again by its customer: nobody else is to feel it."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa

from infra.local import issuer
from shared.frame.messaging.envelope import Metadata
from shared.frame.sql.engines import sql_engine
from shared.frame.sql.sqlite import sqlite_cursor
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.events import OrderCreatedV1, OrderEvent, OrderItemRemovedV1, OrderItemsAddedV1
from shared.ordering.tables import LOG, ORDERS
from shared.roles import CUSTOMER
from tests.e2e.api import Api, problem
from tests.support.stack import Stack, running_stack

EVENTS, READS = 18_000, 260
"""What was tried on us: three minutes of adding and removing an item, and then these reads at once."""

TIMEOUT = 60.0
"""Seconds until an answer is given up."""

OTHERS_WAIT = 15.0
"""Seconds within which anybody else is answered, on a machine that is busy with other things as well: measured were up
to 2.7, and without bounds more than 120."""


@dataclass(frozen=True, slots=True)
class Longest:
    """An order that was changed all the time, and its customer's own token."""

    stack: Stack
    order_id: str
    customer_id: str
    authorized: dict[str, str]

    @property
    def path(self) -> str:
        """Where it is."""
        return f"/orders/{self.order_id}"

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Call as this customer, or with other headers."""
        limits = httpx.Limits(max_connections=None)
        return httpx.AsyncClient(
            base_url=f"{self.stack.base_url}/api", headers=headers or self.authorized, timeout=TIMEOUT, limits=limits
        )


@pytest.fixture(scope="module")
def longest() -> Iterator[Longest]:
    """A stack of our own, for other tests would feel it."""
    with running_stack() as stack, Api(stack) as api:
        customer_id, product_id = api.customer(), api.product()
        order_id = api.order(customer_id, product_id)
        api.details(order_id, customer_id)
        lengthen(stack, UUID(order_id), EVENTS)
        token = issuer.issue(issuer.key_of(stack.data), {CUSTOMER}, UUID(customer_id))
        yield Longest(stack, order_id, customer_id, {"Authorization": f"Bearer {token}"})


def lengthen(stack: Stack, order_id: UUID, versions: int) -> None:
    """Add its only line's removal and return to an order's log, over and over; all of it counts as published."""
    engine = sql_engine(stack.settings["SqlConnection"], "ordering")
    try:
        with engine.connect() as connection:
            created = LOG.history(connection, order_id)[0].event
        assert isinstance(created, OrderCreatedV1)
        [line], currency = created.lines, created.currency
        assert currency is not None
        removed = OrderItemRemovedV1(order_id, created.customer_id, currency, line.product_id, line.unit_price * 0)
        added = OrderItemsAddedV1(order_id, created.customer_id, currency, (line,), created.total)
        steps: list[OrderEvent] = [removed, added] * (versions // 2)
        gathered = UnitOfWork(engine)
        LOG.append(gathered, order_id, 1, steps[: versions - 1], Metadata())
        [step] = gathered._gathered
        rows = [{**row, "published_at": datetime.now(UTC)} for row in step.rows]
        with engine.begin() as connection:
            LOG.statements.append.run(sqlite_cursor(connection), rows)
            connection.execute(sa.update(ORDERS).where(ORDERS.c.order_id == order_id).values(version=versions))
    finally:
        engine.dispose()


@dataclass(slots=True)
class Probe:
    """How long somebody waited for answers, one after the other; status 0 is none at all."""

    seconds: list[float]
    statuses: Counter[int]

    def at(self, share: float) -> float:
        """The time that this share of the answers took at most."""
        return sorted(self.seconds)[min(int(len(self.seconds) * share), len(self.seconds) - 1)]


async def answered(asking: Awaitable[httpx.Response]) -> httpx.Response | None:
    """Give the answer, or None if there was none in time."""
    try:
        return await asking
    except httpx.HTTPError:
        return None


async def probed(ask: Callable[[], Awaitable[httpx.Response]], over: asyncio.Event) -> Probe:
    """Ask until it is over, with a short pause in between."""
    probe = Probe([], Counter())
    while not over.is_set():
        begin = time.monotonic()
        answer = await answered(ask())
        probe.seconds.append(time.monotonic() - begin)
        probe.statuses[answer.status_code if answer else 0] += 1
        await asyncio.sleep(0.02)
    return probe


async def during[Sent](longest: Longest, attack: Callable[[], Awaitable[Sent]]) -> tuple[Sent, dict[str, Probe]]:
    """How others fare during an attack."""
    over = asyncio.Event()
    async with longest.client(**longest.stack.authorized) as other:
        details = {"customerId": longest.customer_id}
        asked: dict[str, Callable[[], Awaitable[httpx.Response]]] = {
            "live": lambda: other.get("/health/live"),
            "ready": lambda: other.get("/health/ready"),
            "an order": lambda: other.get(longest.path, params=details),
            "a past": lambda: other.get(longest.path, params=details | {"asOfVersion": "1"}),
        }
        probes = [asyncio.create_task(probed(ask, over)) for ask in asked.values()]
        await asyncio.sleep(0.2)
        sent = await attack()
        over.set()
        return sent, dict(zip(asked, await asyncio.gather(*probes), strict=True))


def told(title: str, seconds: float, statuses: Sequence[int], probes: dict[str, Probe]) -> None:
    """Print figures, for pytest -s."""
    print(f"\n{title}: {seconds:.1f} s, {dict(Counter(statuses))}")  # noqa: T201
    for name, probe in probes.items():
        print(  # noqa: T201
            f"  {name}: {len(probe.seconds)} answers, p50 {probe.at(0.5) * 1000:.0f} ms, p99"
            f" {probe.at(0.99) * 1000:.0f} ms, longest {max(probe.seconds) * 1000:.0f} ms, {dict(probe.statuses)}"
        )


async def attacked(longest: Longest, path: str, **parameters: str) -> tuple[list[int], dict[str, Probe]]:
    """Send so many reads at once, and see how others fare."""
    headers = longest.stack.authorized if path.endswith("/history") else longest.authorized
    # in a process of its own: what is measured is the host, not this client
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as attacker:

        async def attack() -> list[int]:
            url = f"{longest.stack.base_url}/api{path}"
            return await asyncio.wrap_future(attacker.submit(all_at_once, url, parameters, headers))

        begin = time.monotonic()
        statuses, probes = await during(longest, attack)
    told(f"{READS} x {path.replace(longest.order_id, 'ID')} {parameters}", time.monotonic() - begin, statuses, probes)
    return statuses, probes


def all_at_once(url: str, parameters: dict[str, str], headers: dict[str, str]) -> list[int]:
    """Send them, and give their statuses."""

    async def send() -> list[int]:
        clients = [httpx.AsyncClient(headers=headers, timeout=TIMEOUT, verify=False) for _ in range(-(-READS // 25))]  # noqa: S501
        asked = (answered(clients[number // 25].get(url, params=parameters)) for number in range(READS))
        return [answer.status_code if answer else 0 for answer in await asyncio.gather(*asked)]

    return asyncio.run(send())


async def test_as_many_cheap_requests_at_once_are_what_to_compare_with(longest: Longest) -> None:
    statuses, _ = await attacked(longest, "/health/live")
    assert set(statuses) <= {200, 429}


async def test_reads_of_a_long_past_are_felt_by_nobody_else(longest: Longest) -> None:
    for _ in range(2):
        statuses, probes = await attacked(
            longest, longest.path, customerId=longest.customer_id, asOfVersion=str(EVENTS)
        )
        assert set(statuses) <= {200, 429, 503}
        for name, probe in probes.items():
            assert max(probe.seconds) < OTHERS_WAIT, name


async def test_a_page_of_history_costs_what_is_on_it(longest: Longest) -> None:
    statuses, probes = await attacked(longest, f"{longest.path}/history", take="1", afterVersion="17000")
    assert set(statuses) <= {200, 429, 503}
    for name, probe in probes.items():
        assert max(probe.seconds) < OTHERS_WAIT, name


def test_an_order_that_was_changed_so_often_is_closed_for_changes_and_can_be_ended(longest: Longest) -> None:
    with Api(longest.stack) as api:
        item = {"productId": api.product(), "quantity": 1}
        problem(api.http.post(f"{longest.path}/items", json=item), 409, "closed-for-changes")
        assert api.http.post(f"{longest.path}/cancel", json={"reason": "enough"}).status_code == 204
