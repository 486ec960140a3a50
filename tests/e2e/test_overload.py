"""More requests than there is room for, and stores that hang: everybody is answered soon, and nothing piles up."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import pytest

from tests.e2e.api import Api, order_body
from tests.support.stack import Stack, running_stack

ANSWERED_WITHIN = 30.0
"""Seconds, on a loaded machine. A command waits five for its turn and tries for ten; a query gives its store five."""
A_CLIENTS_CONNECTIONS = 25
"""Few, because a client with hundreds of connections is slower than the host."""
AT_ONCE = 256
"""What the host takes in at once: host.json's maxOutstandingRequests."""

LATER = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}

type Request = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


@pytest.fixture(scope="module")
def crowded() -> Iterator[Stack]:
    """A stack of our own: overload would be felt by other tests."""
    with running_stack() as stack:
        yield stack


@dataclass(frozen=True)
class Shop:
    """What there is to ask for, and how."""

    stack: Stack
    customer: str
    product: str
    order: str

    def command(self, client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
        """Order a product."""
        return client.post("/orders", json=order_body(self.customer, self.product))

    def query(self, client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
        """Look at the order that was there before."""
        return client.get(f"/orders/{self.order}", params={"customerId": self.customer})

    def listing(self, client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
        """Look at all orders."""
        return client.get(f"/customers/{self.customer}/orders")

    async def all_at_once(self, *requests: Request) -> list[httpx.Response]:
        """Send them all at the same time."""
        limits = httpx.Limits(max_connections=None)
        count = -(-len(requests) // A_CLIENTS_CONNECTIONS)
        clients = [
            httpx.AsyncClient(
                base_url=f"{self.stack.base_url}/api",
                headers=self.stack.authorized,
                timeout=ANSWERED_WITHIN,
                limits=limits,
            )
            for _ in range(count)
        ]
        try:
            return await asyncio.gather(*(request(clients[number % count]) for number, request in enumerate(requests)))
        finally:
            await asyncio.gather(*(client.aclose() for client in clients))


@pytest.fixture
def shop(crowded: Stack) -> Iterator[Shop]:
    with Api(crowded) as api:
        customer, product = api.customer(), api.product()
        yield Shop(crowded, customer, product, api.order(customer, product))


def outcomes(answers: list[httpx.Response]) -> Counter[str]:
    """Count what was answered, by status or by a problem's code; what says "later" must say when."""
    for answer in answers:
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert int(answer.headers["Retry-After"]) > 0
    return Counter(
        answer.json()["type"].rpartition(":")[2]
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        else str(answer.status_code)
        for answer in answers
    )


async def is_as_before(shop: Shop) -> None:
    """Assert that no place, thread or connection is still taken: as many at once as the host runs are answered."""
    commands = await shop.all_at_once(*[shop.command] * 24)
    assert outcomes(commands) == {"201": 24}
    queries = await shop.all_at_once(*[shop.query, shop.listing] * 64)
    assert outcomes(queries) == {"200": 128}


async def seen(shop: Shop, orders: int) -> None:
    """Wait until the customer's list has so many orders."""
    deadline = time.monotonic() + 120
    base_url, headers = f"{shop.stack.base_url}/api", shop.stack.authorized
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=ANSWERED_WITHIN) as client:
        while (answer := await shop.listing(client)).json()["totalCount"] != orders:
            assert time.monotonic() < deadline, answer.text
            await asyncio.sleep(0.1)


async def test_more_requests_than_the_host_takes_in_are_answered_soon_and_what_was_accepted_is_kept(shop: Shop) -> None:
    answered = asyncio.Event()

    async def command(client: httpx.AsyncClient) -> httpx.Response:
        answer = await shop.command(client)
        answered.set()
        return answer

    commands = asyncio.create_task(shop.all_at_once(*[command] * (2 * AT_ONCE)))
    await answered.wait()  # or queries, whose bodies need not come first, would take all places
    queries = await shop.all_at_once(*[shop.query] * (2 * AT_ONCE))
    answers = outcomes([*await commands, *queries])
    assert answers.keys() <= {"200", "201", "429", "overloaded"}
    assert answers["429"] > 0, "or there was no overload"
    assert answers["201"] > 0
    await is_as_before(shop)
    await seen(shop, 1 + answers["201"] + 24)


async def test_while_the_read_models_hang_queries_are_told_so_and_commands_go_on(crowded: Stack, shop: Shop) -> None:
    with crowded.stopped("cosmos"):
        queries = asyncio.create_task(shop.all_at_once(*[shop.query, shop.listing] * 50))
        commands = await shop.all_at_once(*[shop.command] * 24)
        assert not queries.done(), "or nothing hung"
        assert outcomes(commands) == {"201": 24}
        assert outcomes(await queries) == {"read-models-unavailable": 100}
    await seen(shop, 1 + 24)
    await is_as_before(shop)


async def test_while_the_database_hangs_commands_are_told_so_and_queries_go_on(crowded: Stack, shop: Shop) -> None:
    with crowded.locked():
        commands = asyncio.create_task(shop.all_at_once(*[shop.command] * 100))
        queries = await shop.all_at_once(*[shop.query, shop.listing] * 12)
        assert not commands.done(), "or nothing hung"
        assert outcomes(queries) == {"200": 24}
        answers = outcomes(await commands)
    assert answers.keys() == {"overloaded", "database-unavailable"}
    await is_as_before(shop)
    await seen(shop, 1 + 24)
