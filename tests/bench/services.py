"""The services over HTTP, each a process of its own, with the same delay at the doors of their stores.

What is sent to Tandem and to its peer is the same; only what Tandem must be told besides is added.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import aiohttp

from infra.local import issuer
from infra.local.containers import TOPOLOGY, create
from infra.sql.migrate import migrate
from shared.roles import Role
from tests.bench.engines import ROOT, settings
from tests.bench.latency import SETTING, Delay
from tests.bench.load import Request, Unexpected, ask, send, session
from tests.support.cosmos import KEY
from tests.support.host import HostProcess, started_host
from tests.support.servicebus import running_servicebus

CUSTOMERS, PRODUCTS = 200, 20
"""So a customer has some sixty orders when a whole run ends; the watch of the read models reads all of a customer's."""
ADDRESS = {"street": "Hauptstraße 1", "city": "Köln", "postalCode": "50667"}
AT_ONCE = 10
"""Requests that wait for read models; one caller may have 32 that do (shared/frame/read_side/read_your_writes.py)."""
PATIENT = {"Prefer": "wait=30"}
"""Lets a query wait for its read model as long as it may."""
CATCHES_UP_WITHIN = 120.0
"""Seconds, on a loaded machine, for what was written to be known everywhere."""


class Made(NamedTuple):
    """An order that was accepted, and when its maker knew, in seconds since 1970."""

    order_id: str
    customer_id: str
    answered: float


@dataclass
class Service:
    """A service that runs.

    Attributes:
        base_url: what stands before /orders.
        has_read_models: whether what is written is read somewhere else, a moment later.
        headers: that every request has.
        lines: of each order.
        orders: the orders that were made, in the order of the answers.
    """

    base_url: str
    has_read_models: bool
    headers: Mapping[str, str] = field(default_factory=dict)
    lines: int = 10
    customers: Sequence[str] = field(default_factory=lambda: [str(uuid4()) for _ in range(CUSTOMERS)])
    products: Sequence[str] = field(default_factory=lambda: [str(uuid4()) for _ in range(PRODUCTS)])
    orders: list[Made] = field(default_factory=list)

    async def open(self) -> None:
        """Have customers and products, and an order of each customer that can be read."""
        async with session(1) as http:
            for id_ in self.customers:
                body = {"customerId": id_, "name": "Ada Lovelace", "email": f"{id_}@example.com"}
                await send(http, "POST", f"{self.base_url}/customers", self.headers, body)
            for id_ in self.products:
                body = {"productId": id_, "name": "Teapot", "unitPrice": "24.90", "currency": "EUR"}
                category = {"category": "kitchen"} if self.has_read_models else {}
                await send(http, "POST", f"{self.base_url}/products", self.headers, body | category)
            for number in range(CUSTOMERS):
                await eventually(self.write(number), http)
        await self.settle()

    def write(self, number: int) -> Request:
        """Make an order; the number says whose and of what."""
        order_id, customer_id = str(uuid4()), self.customers[number % CUSTOMERS]
        chosen = [self.products[(number + line) % PRODUCTS] for line in range(self.lines)]
        body = {
            "orderId": order_id,
            "customerId": customer_id,
            "items": [{"productId": product_id, "quantity": 2} for product_id in chosen],
            "shippingAddress": ADDRESS,
        }

        async def write(http: aiohttp.ClientSession) -> None:
            await send(http, "POST", f"{self.base_url}/orders", self.headers, body)
            self.orders.append(Made(order_id, customer_id, time.time()))

        return write

    def read(self, number: int) -> Request:
        """Read an order that is there now; the number says which."""
        return self._reading(self._url(self.orders[number % len(self.orders)]), self.headers)

    async def settle(self, last: int | None = None) -> None:
        """Wait until the orders that were made can be read; the last ones of them, or all."""
        if self.has_read_models:
            awaited, headers = self.orders[-last if last else 0 :], {**self.headers, **PATIENT}
            await ask([self._reading(f"{self._url(made)}&minVersion=1", headers) for made in awaited], AT_ONCE)

    @staticmethod
    def _reading(url: str, headers: Mapping[str, str]) -> Request:
        async def read(http: aiohttp.ClientSession) -> None:
            await send(http, "GET", url, headers)

        return read

    def _url(self, made: Made) -> str:
        by_customer = f"?customerId={made.customer_id}" if self.has_read_models else ""
        return f"{self.base_url}/orders/{made.order_id}{by_customer}"


@asynccontextmanager
async def tandem(folder: Path, delay: Delay) -> AsyncIterator[Service]:
    """Run Tandem: its engines, and the host with its SQL and its Cosmos DB behind the delay."""
    folder.mkdir()  # noqa: ASYNC240  # nothing else runs yet
    with ExitStack() as stack:
        service_bus = stack.enter_context(running_servicebus())
        engine = stack.enter_context(_child(folder, delay, "slow_cosmos", "--port", "0", "--data", ":memory:"))
        address = await asyncio.to_thread(engine.wait_for_log, r"listening on (\S+)")
        cosmos = f"AccountEndpoint=http://{address[1]}/;AccountKey={KEY};"
        create(cosmos, json.loads(TOPOLOGY.read_text(encoding="utf-8")))
        sql = f"sqlite:///{folder / 'tandem.db'}"
        migrate(sql)
        environment = settings(sql, cosmos, service_bus) | {SETTING: str(delay.file)}
        arguments = ("--issuer-key", str(issuer.make_key(folder)))
        host = stack.enter_context(started_host(ROOT, environment, *arguments, module="tests.bench.slow_host"))
        url = await asyncio.to_thread(host.wait_for_log, r"listening on (http://\S+)")
        token = issuer.issue(issuer.key_of(folder), Role)
        yield Service(f"{url[1]}/api", has_read_models=True, headers={"Authorization": f"Bearer {token}"})


@asynccontextmanager
async def crud(folder: Path, delay: Delay) -> AsyncIterator[Service]:
    """Run the CRUD service, with its SQL behind the delay."""
    folder.mkdir()  # noqa: ASYNC240  # nothing else runs yet
    with _child(folder, delay, "peers.crud", "--database", str(folder / "crud.db")) as process:
        url = await asyncio.to_thread(process.wait_for_log, r"listening on (http://\S+)")
        yield Service(url[1], has_read_models=False)


@contextmanager
def _child(folder: Path, delay: Delay, module: str, *arguments: str) -> Iterator[HostProcess]:
    """Run a module of the bench with this delay, its log in the folder, until the block ends."""
    said = folder / f"{module}.log"
    with (
        said.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "infra.local.child", f"tests.bench.{module}", *arguments],
            cwd=ROOT,
            env={**os.environ, SETTING: str(delay.file)},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield HostProcess(process, said)
        finally:
            process.kill()


async def eventually(request: Request, http: aiohttp.ClientSession) -> None:
    """Send a request again until it succeeds; raises what the last one did, if none does in time."""
    deadline = time.monotonic() + CATCHES_UP_WITHIN
    while True:
        try:
            return await request(http)
        except Unexpected:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)
