"""The shop's HTTP API as a careful client uses it: a key on every command, retries, and no blind waiting."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx

from shared.frame.platform.loopback import is_loopback

TIMEOUT = 90.0
"""Seconds for which a client tries again while the shop does not answer: it may be restarting."""
PAUSE = 0.1
"""Seconds between two tries."""
HEARD_WITHIN = 90.0
"""Seconds until ordering must have heard of a new customer, product or price."""

TRY_AGAIN = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


class Surprise(Exception):
    """An answer of the shop is not the expected one."""


@dataclass(slots=True)
class Figures:
    """Counts and measurements.

    Attributes:
        commands: accepted commands, without replays.
        refused: commands refused as they had to be, by the problem's code.
        replayed: commands sent again on purpose that were answered as the first time.
        retries: requests sent again after no answer, a 429 or a 503.
        lags: seconds from a command's answer until a query showed its change, of a sample.
    """

    commands: int = 0
    queries: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    retries: int = 0
    lags: list[float] = field(default_factory=list)


class Shop:
    """The API at one address."""

    def __init__(self, base_url: str, token: str, connections: int) -> None:
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.AsyncClient(
            base_url=f"{base_url}/api",
            headers=headers,
            timeout=TIMEOUT,
            limits=limits,
            trust_env=not is_loopback(base_url),
        )
        self.figures = Figures()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def command(
        self, path: str, body: dict[str, Any] | None = None, *, method: str = "POST", twice: bool = False
    ) -> httpx.Response:
        """Send a command until it is answered, always under one key.

        Args:
            path: after /api.
            body: its JSON.
            method: POST, or DELETE.
            twice: send it once more when it was accepted: the answer must be the same, and marked as replayed.

        Raises:
            Surprise: the replay differs.
        """
        headers = {"Idempotency-Key": str(uuid4())}
        answer = await self._send(method, path, json=body, headers=headers)
        if not answer.is_success:
            return answer
        self.figures.commands += 1
        if twice:
            again = await self._send(method, path, json=body, headers=headers)
            if _essence(again) != _essence(answer) or again.headers.get("Idempotent-Replayed") != "true":
                raise Surprise(f"{method} {path} sent again: {_told(again)}; the first time: {_told(answer)}")
            self.figures.replayed += 1
        return answer

    async def accepted(
        self, path: str, body: dict[str, Any] | None = None, *, version: int, method: str = "POST", twice: bool = False
    ) -> None:
        """Send a command that must be accepted and bring its aggregate to `version`; Surprise if it does not."""
        self.require_version(await self.command(path, body, method=method, twice=twice), version)

    def require_version(self, answer: httpx.Response, version: int) -> None:
        """Raise Surprise unless a command was accepted and has made this version."""
        if not answer.is_success or answer.headers.get("ETag") != f'"{version}"':
            raise Surprise(f"{_request(answer)} should make version {version}: {_told(answer)}")

    async def taken(self, path: str, body: dict[str, Any] | None = None, not_yet: Collection[str] = ()) -> None:
        """Send a command that must be accepted, again and again after the refusals in `not_yet`; Surprise if not."""
        deadline = time.monotonic() + HEARD_WITHIN
        while not (answer := await self.command(path, body)).is_success:
            if problem_code(answer) not in not_yet or time.monotonic() > deadline:
                raise Surprise(f"POST {path} should be accepted: {_told(answer)}")
            await asyncio.sleep(PAUSE)

    async def refused(self, code: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Send a command that must be refused with this code; Surprise if it is not."""
        self.require_refusal(await self.command(path, body), code)

    def require_refusal(self, answer: httpx.Response, code: str) -> None:
        """Raise Surprise unless the answer is this refusal."""
        if problem_code(answer) != code:
            raise Surprise(f"{_request(answer)} should be refused as {code}: {_told(answer)}")
        self.figures.refused[code] += 1

    async def query(self, path: str, **parameters: str | int) -> Any:
        """Read until there is an answer; its JSON, or the problem's if it is an error."""
        answer = await self._send("GET", path, params=parameters, headers={"Prefer": "wait=30"})
        self.figures.queries += 1
        return answer.json()

    async def see(self, order_id: str, customer_id: str, version: int) -> None:
        """Wait until a query shows the order at this version, and record how long that took."""
        begin = time.perf_counter()
        await self.query(f"/orders/{order_id}", customerId=customer_id, minVersion=version)
        self.figures.lags.append(time.perf_counter() - begin)

    async def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                answer = await self._http.request(method, path, **request)
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            else:
                if answer.status_code not in TRY_AGAIN or time.monotonic() > deadline:
                    return answer
            self.figures.retries += 1
            await asyncio.sleep(PAUSE)


def problem_code(answer: httpx.Response) -> str | None:
    """The last part of a problem's type; None if the answer is no problem."""
    if answer.headers.get("Content-Type") != "application/problem+json":
        return None
    return str(answer.json()["type"]).rpartition(":")[2]


def _essence(answer: httpx.Response) -> tuple[int, str | None, str | None, bytes]:
    return answer.status_code, answer.headers.get("ETag"), answer.headers.get("Location"), answer.content


def _request(answer: httpx.Response) -> str:
    return f"{answer.request.method} {answer.request.url.path}"


def _told(answer: httpx.Response) -> str:
    return f"{answer.status_code} ETag {answer.headers.get('ETag')} {answer.text}"
