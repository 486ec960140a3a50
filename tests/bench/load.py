"""Clients over HTTP: so many at once, each with one request under way."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

NO_ROOM = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
TIMEOUT = aiohttp.ClientTimeout(total=120)

type Request = Callable[[aiohttp.ClientSession], Awaitable[None]]


class Unexpected(Exception):
    """A service answered what it must not: a figure would mean nothing."""


class TurnedAway(Unexpected):
    """A service had no room for a request, and said so."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of some requests: seconds for all of them, and for each."""

    seconds: float
    each: Sequence[float]


async def ask(requests: Sequence[Request], clients: int) -> Outcome:
    """Send all requests, so many at a time."""
    waiting, each = iter(requests), list[float]()
    async with session(clients) as http:
        begin = time.perf_counter()
        await asyncio.gather(*(_one_client(http, waiting, each) for _ in range(clients)))
        return Outcome(time.perf_counter() - begin, each)


def session(connections: int) -> aiohttp.ClientSession:
    """Open so many connections, when they are needed."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections), timeout=TIMEOUT)


async def send(
    http: aiohttp.ClientSession,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None = None,
) -> bytes:
    """Send a request, which must be answered with a success; what it answers.

    Raises:
        Unexpected: it is not; TurnedAway if there is no room for it.
    """
    async with http.request(method, url, headers=headers, json=body) as answer:
        content = await answer.read()
        if not answer.ok:
            kind = TurnedAway if answer.status in NO_ROOM else Unexpected
            raise kind(f"{method} {url} answered {answer.status}: {content[:500]!r}")
        return content


async def _one_client(http: aiohttp.ClientSession, waiting: Iterator[Request], each: list[float]) -> None:
    for request in waiting:
        begin = time.perf_counter()
        await request(http)
        each.append(time.perf_counter() - begin)
